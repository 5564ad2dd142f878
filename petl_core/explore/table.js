// A table with a filter, sorted by its headings, in which one row is selected; see table.py.
export default {
  render({ model, el }) {
    let sorted = null; // a column
    let rising = true;
    const filter = document.createElement("input");
    filter.type = "search";
    filter.placeholder = "filter: a method, a data set, …";
    const table = document.createElement("table");
    const scrolled = document.createElement("div");
    scrolled.className = "petl-rows";
    scrolled.append(table);
    el.classList.add("petl-table");
    el.append(filter, scrolled);

    const className = (column) => (model.get("numeric").includes(column) ? "petl-number" : "");
    const compare = (a, b) => a.localeCompare(b, undefined, { numeric: true });

    const order = () => {
      const rows = model.get("rows");
      const words = filter.value.toLowerCase().split(/\s+/);
      const kept = rows.map((_, i) => i).filter((i) => {
        const text = rows[i].join(" ").toLowerCase();
        return words.every((word) => text.includes(word));
      });
      if (sorted !== null) kept.sort((i, j) => (rising ? 1 : -1) * compare(rows[i][sorted], rows[j][sorted]));
      return kept;
    };

    const heading = (name, column) => {
      const cell = document.createElement("th");
      cell.className = className(column);
      cell.textContent = name + (column === sorted ? (rising ? " ↑" : " ↓") : "");
      cell.addEventListener("click", () => {
        rising = column === sorted ? !rising : !model.get("numeric").includes(column);
        sorted = column;
        draw();
      });
      return cell;
    };

    const choose = (i) => {
      model.set("selected", i);
      model.save_changes();
    };

    const rowOf = (i) => {
      const row = document.createElement("tr");
      row.tabIndex = 0;
      row.setAttribute("aria-selected", i === model.get("selected"));
      row.append(
        ...model.get("rows")[i].map((text, column) => {
          const cell = document.createElement("td");
          cell.className = className(column);
          cell.textContent = text;
          return cell;
        }),
      );
      row.addEventListener("click", () => choose(i));
      row.addEventListener("keydown", (event) => event.key === "Enter" && choose(i));
      return row;
    };

    const draw = () => {
      const head = document.createElement("thead");
      head.append(document.createElement("tr"));
      head.firstChild.append(...model.get("columns").map(heading));
      const body = document.createElement("tbody");
      body.append(...order().map(rowOf));
      table.replaceChildren(head, body);
    };
    filter.addEventListener("input", draw);
    model.on("change:rows change:columns change:selected", draw);
    draw();
    return () => model.off("change:rows change:columns change:selected", draw);
  },
};

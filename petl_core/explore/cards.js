// A grid of buttons, each an image with its rank, score, mark and change of rank; see cards.py.
function element(tag, name, text) {
  const made = document.createElement(tag);
  made.className = name;
  if (text) made.textContent = text;
  return made;
}

function cardOf(card, clicked) {
  const button = element("button", "petl-card petl-" + card.kind.replace(" ", "-"));
  button.type = "button";
  button.title = [card.name, card.scene, card.caption].filter(Boolean).join("\n");

  const picture = element("div", "petl-picture");
  const image = element("img", "");
  image.src = card.image;
  image.alt = card.caption || card.name;
  picture.append(image);
  if (card.mark) {
    const mark = element("span", "petl-mark", card.mark);
    mark.title = card.kind_in_words;
    picture.append(mark);
  }
  if (card.change) picture.append(element("span", "petl-change petl-" + changeOf(card.change), card.change));

  const line = element("div", "petl-line");
  line.append(element("span", "petl-rank", card.rank ? String(card.rank) : ""), element("span", "petl-score", card.score));
  button.append(picture, line, element("div", "petl-scene", card.scene || card.name));
  button.addEventListener("click", clicked);
  return button;
}

function changeOf(change) {
  return { "▲": "up", "▼": "down" }[change[0]] || "same";
}

export default {
  render({ model, el }) {
    const grid = element("div", "petl-cards");
    el.append(grid);
    const draw = () => {
      grid.style.gridTemplateColumns = `repeat(${model.get("columns")}, minmax(0, 1fr))`;
      grid.replaceChildren(
        ...model.get("cards").map((card, i) =>
          cardOf(card, () => {
            model.set("clicked", i);
            model.save_changes();
          }),
        ),
      );
    };
    model.on("change:cards change:columns", draw);
    draw();
    return () => model.off("change:cards change:columns", draw);
  },
};

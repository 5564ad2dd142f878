"""The data sets that are known by name: their sources, numbers of images, and digests of their caption lists.

Importable without torch.
"""

from dataclasses import dataclass, field

from petl_core.data.default_data import DRAWN

NOT_STATED = "not stated by the authors"
RELEASE = "the PE-RSITR repository"  # github.com/ZhanYang-nwpu/PE-RSITR, data/, uploaded on 2023-04-04


@dataclass(frozen=True)
class KnownSet:
    """A data set, as its authors describe it."""

    name: str
    train: int  # images for training and validation
    test: int  # images
    source: str
    licence: str
    citation: str
    layout: str  # of the original distribution
    captions: dict[str, str] = field(default_factory=dict)  # sha256 of each list, as in RELEASE


PUBLISHED = (
    KnownSet(
        name="rsicd",
        train=9_828,
        test=1_093,
        source="https://github.com/201528014227051/RSICD_optimal",
        licence=NOT_STATED,
        citation="Lu et al., Exploring Models and Data for Remote Sensing Image Caption Generation, TGRS 2017, "
        "doi 10.1109/TGRS.2017.2776321",
        layout="dataset_rsicd.json and RSICD_images/",
        captions={
            "train_filename.txt": "07ba36e2a4286f88e94a0765dd7288c133ed810ae22b216a75a18e729bb944f7",
            "train_caps.txt": "dfaee64764a29af37f50c2bf5a8a7d28ec37045e4870e063ac315bfe68b32215",
            "test_filename.txt": "d6e0279f45797226f452f017c7ac055a291c4115c05b14606be78be6f2867102",
            "test_caps.txt": "6c454afb21934c8fc75077d4d2695057a74c531d177c542e8bc9bd051990ed37",
        },
    ),
    KnownSet(
        name="rsitmd",
        train=4_291,
        test=452,
        source="https://github.com/xiaoyuan1996/AMFMN/tree/master/RSITMD",
        licence=NOT_STATED,
        citation="Yuan et al., Exploring a Fine-Grained Multiscale Method for Cross-Modal Remote Sensing Image "
        "Retrieval, TGRS 2021, doi 10.1109/TGRS.2021.3078451",
        layout="dataset_RSITMD.json and images/",
        captions={
            "train_filename.txt": "e0ab67beacc1b751679b18adc6ce15bd73cc70c30de13b29cb319834c9200886",
            "train_caps.txt": "e303a2794afc7414b233823951238ab520419c2ac076472637d4c4f122fada1d",
            "test_filename.txt": "183cbcd9d9a49fb92cd7aca3fe6bd411705ea3f590ac1dd572ace29c52b045bd",
            "test_caps.txt": "c3e72a13ecafcbae0913edd2e9de87e8e77acad97b5635f3ba2f56a628b83c0f",
        },
    ),
    KnownSet(
        name="ucm",
        train=1_890,
        test=210,
        source="https://github.com/201528014227051/RSICD_optimal (UCM-captions, linked there)",
        licence=f"captions: {NOT_STATED}; images: UC Merced Land Use, called public domain on its page",
        citation="Qu et al., Deep Semantic Understanding of High Resolution Remote Sensing Image, CITS 2016; images: "
        "Yang and Newsam, Bag-of-Visual-Words and Spatial Extensions for Land-Use Classification, SIGSPATIAL 2010",
        layout="dataset.json and imgs/",
        captions={
            "train_filename.txt": "6fd7cd018518e20969efe403f81ada28642f8add3c57838656b64ba1b8d81a71",
            "train_caps.txt": "a7d146551652399af1f8e12d0d91172b138a3ad798a7ee991f0ba8b975d10756",
            "test_filename.txt": "84552a920cef691291cfdedfb7912828d52c160154eb519d412a726d8165169f",
            "test_caps.txt": "b896d49fe5544fcec3b24d556793e51e1b0c0b46fa5595bd77965b2a494a32c1",
        },
    ),
)


DRAWN_SETS = (
    KnownSet(
        name=name,
        train=settings["train"],
        test=settings["test"],
        source="drawn by data/drawn_scenes when first asked for",
        licence="MIT, as this project",
        citation="this project",
        layout=f"{name}_precomp/",
    )
    for name, settings in DRAWN.items()
)
CATALOGUE = {known.name: known for known in (*PUBLISHED, *DRAWN_SETS)}

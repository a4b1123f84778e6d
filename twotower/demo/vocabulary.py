"""The words of the sample shop: every category, colour, pattern, material and brand in English and Chinese.

The first name of each is the key used in attributes; the others are synonyms, which titles and queries draw
from independently, so that a query often uses another word than the product it looks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

Language: TypeAlias = Literal["en", "zh"]
Names: TypeAlias = Mapping[Language, tuple[str, ...]]


class Category(NamedTuple):
    """What there is to say about one kind of product."""

    names: Names
    materials: tuple[str, ...]
    facts: Names
    price: float
    """A usual price, in the shop's currency."""


CATEGORIES: Mapping[str, Category] = {
    "running shoes": Category(
        {"en": ("running shoes", "trainers", "sneakers"), "zh": ("跑步鞋", "运动鞋", "跑鞋")},
        ("mesh", "leather", "canvas"),
        {
            "en": ("A cushioned sole for long runs", "Light on the foot and quick to dry"),
            "zh": ("缓震鞋底，适合长跑", "轻便透气，日常锻炼都能穿"),
        },
        85.0,
    ),
    "sandals": Category(
        {"en": ("sandals", "open-toe shoes", "slides"), "zh": ("凉鞋", "沙滩鞋", "凉拖")},
        ("leather", "rubber", "canvas"),
        {
            "en": ("Two wide straps hold the foot gently", "Made for warm days and short walks"),
            "zh": ("两条宽带，贴合脚背", "夏天出门轻松一穿"),
        },
        45.0,
    ),
    "boots": Category(
        {"en": ("boots", "ankle boots", "booties"), "zh": ("靴子", "短靴", "马丁靴")},
        ("leather", "suede", "rubber"),
        {
            "en": ("A firm sole with good grip in the rain", "Warm lining and an easy side buckle"),
            "zh": ("防滑鞋底，雨天也放心", "内里保暖，侧扣穿脱方便"),
        },
        120.0,
    ),
    "handbag": Category(
        {"en": ("handbag", "purse", "shoulder bag"), "zh": ("手提包", "女包", "手袋")},
        ("leather", "canvas", "suede"),
        {
            "en": ("Room for a phone, a book and keys", "A magnetic clasp keeps it shut"),
            "zh": ("能放下手机、书和钥匙", "磁扣开合，简洁大方"),
        },
        110.0,
    ),
    "backpack": Category(
        {"en": ("backpack", "rucksack", "daypack"), "zh": ("双肩包", "背包", "书包")},
        ("canvas", "nylon", "leather"),
        {
            "en": ("A padded pocket fits a laptop", "Wide shoulder straps for the daily commute"),
            "zh": ("带电脑夹层，上班上学都合适", "宽肩带，背久了也不累"),
        },
        75.0,
    ),
    "t-shirt": Category(
        {"en": ("t-shirt", "tee", "short-sleeved shirt"), "zh": ("T恤", "短袖", "体恤衫")},
        ("cotton", "linen", "wool"),
        {
            "en": ("A relaxed cut with a round neck", "Soft on the skin and easy to wash"),
            "zh": ("圆领宽松版型", "亲肤柔软，好洗好打理"),
        },
        25.0,
    ),
    "dress": Category(
        {"en": ("dress", "frock", "summer dress"), "zh": ("连衣裙", "裙子", "长裙")},
        ("cotton", "linen", "silk"),
        {
            "en": ("A fitted waist and a skirt that swings", "Sleeveless, with a thin belt"),
            "zh": ("收腰设计，裙摆飘逸", "无袖款式，配细腰带"),
        },
        70.0,
    ),
    "jacket": Category(
        {"en": ("jacket", "coat", "windbreaker"), "zh": ("夹克", "外套", "风衣")},
        ("wool", "nylon", "denim"),
        {
            "en": ("Two deep pockets and a full zip", "Keeps the wind out without weight"),
            "zh": ("两个大口袋，全拉链", "轻便防风，换季必备"),
        },
        130.0,
    ),
    "trousers": Category(
        {"en": ("trousers", "pants", "slacks"), "zh": ("裤子", "长裤", "休闲裤")},
        ("cotton", "denim", "wool"),
        {
            "en": ("A straight leg and a comfortable waist", "Pockets that really hold things"),
            "zh": ("直筒剪裁，腰部舒适", "口袋实用，百搭耐穿"),
        },
        60.0,
    ),
    "hat": Category(
        {"en": ("hat", "sun hat", "fedora"), "zh": ("帽子", "遮阳帽", "礼帽")},
        ("straw", "wool", "cotton"),
        {
            "en": ("A brim wide enough for real shade", "Folds flat for the suitcase"),
            "zh": ("宽帽檐，遮阳效果好", "可折叠，出游方便携带"),
        },
        35.0,
    ),
    "watch": Category(
        {"en": ("watch", "wristwatch", "timepiece"), "zh": ("手表", "腕表", "石英表")},
        ("leather", "nylon", "silicone"),
        {
            "en": ("A clear dial and a quiet movement", "The strap changes in seconds"),
            "zh": ("表盘清晰，走时安静", "表带可快速更换"),
        },
        150.0,
    ),
    "sunglasses": Category(
        {"en": ("sunglasses", "shades", "sunnies"), "zh": ("太阳镜", "墨镜", "遮阳镜")},
        ("acetate", "wood", "nylon"),
        {
            "en": ("Dark lenses with full UV protection", "A wide frame that sits well"),
            "zh": ("深色镜片，防紫外线", "宽边镜框，佩戴稳固"),
        },
        55.0,
    ),
    "mug": Category(
        {"en": ("mug", "coffee cup", "tea cup"), "zh": ("马克杯", "咖啡杯", "水杯")},
        ("ceramic", "enamel", "glass"),
        {
            "en": ("Holds a generous coffee and stays warm", "Safe in the dishwasher"),
            "zh": ("大容量，保温又好握", "可放洗碗机清洗"),
        },
        16.0,
    ),
    "lamp": Category(
        {"en": ("lamp", "table lamp", "bedside light"), "zh": ("台灯", "床头灯", "灯具")},
        ("linen", "paper", "cotton"),
        {
            "en": ("Soft, even light for the evening", "A round base that does not tip"),
            "zh": ("光线柔和，适合夜晚", "圆形底座，放置稳固"),
        },
        65.0,
    ),
    "chair": Category(
        {"en": ("chair", "armchair", "lounge chair"), "zh": ("椅子", "扶手椅", "休闲椅")},
        ("velvet", "linen", "leather"),
        {
            "en": ("A deep seat for reading", "Solid wooden legs and a firm cushion"),
            "zh": ("座位宽大，适合阅读", "实木椅腿，坐垫饱满"),
        },
        220.0,
    ),
    "headphones": Category(
        {"en": ("headphones", "headset", "over-ear headphones"), "zh": ("耳机", "头戴耳机", "头戴式耳麦")},
        ("leather", "velvet", "silicone"),
        {
            "en": ("Warm sound and soft ear pads", "Thirty hours of music on one charge"),
            "zh": ("音质温暖，耳罩柔软", "一次充电可听三十小时"),
        },
        95.0,
    ),
}

COLOURS: Mapping[str, Names] = {
    "red": {"en": ("red", "scarlet"), "zh": ("红色", "大红")},
    "orange": {"en": ("orange", "tangerine"), "zh": ("橙色", "橘色")},
    "yellow": {"en": ("yellow", "lemon"), "zh": ("黄色", "柠檬黄")},
    "green": {"en": ("green", "emerald"), "zh": ("绿色", "翠绿")},
    "blue": {"en": ("blue", "cobalt"), "zh": ("蓝色", "宝蓝")},
    "purple": {"en": ("purple", "violet"), "zh": ("紫色", "紫罗兰色")},
    "pink": {"en": ("pink", "rose"), "zh": ("粉色", "粉红")},
    "brown": {"en": ("brown", "chestnut"), "zh": ("棕色", "咖色")},
    "black": {"en": ("black", "jet black"), "zh": ("黑色", "纯黑")},
    "white": {"en": ("white", "ivory"), "zh": ("白色", "米白")},
}

PATTERNS: Mapping[str, Names] = {
    "plain": {"en": ("plain", "solid-coloured"), "zh": ("纯色", "素色")},
    "striped": {"en": ("striped", "stripy"), "zh": ("条纹", "横条纹")},
    "dotted": {"en": ("dotted", "polka-dot"), "zh": ("波点", "圆点")},
    "checked": {"en": ("checked", "plaid"), "zh": ("格子", "方格")},
}

MATERIALS: Mapping[str, Names] = {
    "acetate": {"en": ("acetate",), "zh": ("板材",)},
    "canvas": {"en": ("canvas",), "zh": ("帆布",)},
    "ceramic": {"en": ("ceramic", "stoneware"), "zh": ("陶瓷",)},
    "cotton": {"en": ("cotton",), "zh": ("纯棉", "棉质")},
    "denim": {"en": ("denim",), "zh": ("牛仔布",)},
    "enamel": {"en": ("enamel",), "zh": ("搪瓷",)},
    "glass": {"en": ("glass",), "zh": ("玻璃",)},
    "leather": {"en": ("leather",), "zh": ("真皮", "皮革")},
    "linen": {"en": ("linen",), "zh": ("亚麻",)},
    "mesh": {"en": ("mesh",), "zh": ("网面",)},
    "nylon": {"en": ("nylon",), "zh": ("尼龙",)},
    "paper": {"en": ("paper",), "zh": ("纸艺",)},
    "rubber": {"en": ("rubber",), "zh": ("橡胶",)},
    "silicone": {"en": ("silicone",), "zh": ("硅胶",)},
    "silk": {"en": ("silk",), "zh": ("真丝",)},
    "straw": {"en": ("straw",), "zh": ("草编",)},
    "suede": {"en": ("suede",), "zh": ("麂皮",)},
    "velvet": {"en": ("velvet",), "zh": ("丝绒",)},
    "wood": {"en": ("wood", "wooden"), "zh": ("木质",)},
    "wool": {"en": ("wool", "woollen"), "zh": ("羊毛",)},
}

BRANDS: Mapping[str, Names] = {
    "Acme": {"en": ("Acme",), "zh": ("Acme",)},
    "Norvane": {"en": ("Norvane",), "zh": ("Norvane",)},
    "Lumetta": {"en": ("Lumetta",), "zh": ("Lumetta",)},
    "Tarrowick": {"en": ("Tarrowick",), "zh": ("Tarrowick",)},
    "Quillbee": {"en": ("Quillbee",), "zh": ("Quillbee",)},
    "Velmora": {"en": ("Velmora",), "zh": ("Velmora",)},
    "Ostrander": {"en": ("Ostrander",), "zh": ("Ostrander",)},
    "Pinehollow": {"en": ("Pinehollow",), "zh": ("Pinehollow",)},
    "Sundrift": {"en": ("Sundrift",), "zh": ("Sundrift",)},
    "Yunbu": {"en": ("Yunbu",), "zh": ("云步", "Yunbu")},
    "Muhe": {"en": ("Muhe",), "zh": ("木禾", "Muhe")},
    "Qinglan": {"en": ("Qinglan",), "zh": ("青岚", "Qinglan")},
}

NAMES: Mapping[str, Mapping[str, Names]] = {
    "category": {key: category.names for key, category in CATEGORIES.items()},
    "colour": COLOURS,
    "pattern": PATTERNS,
    "material": MATERIALS,
    "brand": BRANDS,
}
"""What each attribute may be called, by attribute and value."""

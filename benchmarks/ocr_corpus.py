# SPDX-License-Identifier: Apache-2.0
"""Texts for drawn pages in English, French and Chinese, written for this project and free to copy."""

from __future__ import annotations

PROSE = {
    "en": (
        "The ferry leaves at a quarter past seven, and the harbour is still grey when the first passengers walk aboard.",
        'She asked the conductor, "Does this train stop at Oakfield?" He looked at his watch and shook his head.',
        "Between 1987 and 2003 the orchard lost 40% of its trees; only the oldest pears survived (mostly by luck).",
        "Nobody had opened the attic window for years: dust lay on the frames, the books and the broken violin.",
        "Mix 250 g of flour with two eggs, a pinch of salt & half a litre of milk, then let the batter rest.",
        "Our guide, Mr. O'Neill, knew every path on the island and most of the birds by their first names.",
        "If the lamp flashes twice, press the button marked RESET and wait for ten seconds before trying again.",
        "The museum is closed on Mondays, except on public holidays, when it stays open until 9:30 p.m.",
        "They measured the river again in March; it was 12.7 metres wide, much as their grandfathers had written.",
        "A small dog with one white ear followed us home through the rain and has never left since.",
        "Please write to library@example.org, or call 555-0142, if you would like to keep your card.",
        "What remains of the tower? A flight of steps, a wall of yellow stone, and a very good story.",
    ),
    "fr": (
        "Le bac part à sept heures et quart, et le port est encore gris quand montent les premiers voyageurs.",
        "« Ce train s'arrête-t-il à Épinay ? » demanda-t-elle au contrôleur, qui regarda sa montre sans répondre.",
        "Entre 1987 et 2003, le verger a perdu 40 % de ses arbres ; seuls les plus vieux poiriers ont survécu.",
        "Personne n'avait ouvert la fenêtre du grenier depuis des années : la poussière couvrait les cadres brisés.",
        "Mélangez 250 g de farine avec deux œufs, une pincée de sel et un demi-litre de lait, puis laissez reposer.",
        "Notre guide, déjà âgé, connaissait chaque sentier de l'île et presque tous les oiseaux par leur prénom.",
        "Si le voyant clignote deux fois, appuyez sur le bouton et patientez dix secondes avant de réessayer.",
        "Le musée est fermé le lundi, sauf les jours fériés, où il reste ouvert jusqu'à 21 h 30.",
        "On mesura de nouveau la rivière en mars : 12,7 mètres, à peu près ce qu'avaient noté leurs aïeux.",
        "Un petit chien à l'oreille blanche nous suivit sous la pluie jusqu'à la maison ; il n'en est jamais reparti.",
        "Où est passée la clé du château ? Sûrement là-haut, près de la forêt, chez le garçon qui gardait les chèvres.",
        "Dès Noël, la façade de l'hôtel brille ; les élèves y chantent, et le maître paraît rêver.",
    ),
    "zh": (
        "渡轮七点一刻开船，第一批乘客上船的时候，港口还是灰蒙蒙的。",
        "她问列车员：“这趟车在橡树站停吗？”他看了看手表，摇了摇头。",
        "从1987年到2003年，果园里的树少了四成，只有最老的几棵梨树活了下来。",
        "阁楼的窗户多年没有人打开过，画框、旧书和那把坏了的小提琴上落满了灰尘。",
        "把二百五十克面粉、两个鸡蛋、少许盐和半升牛奶搅拌均匀，然后放置半小时。",
        "我们的向导认识岛上的每一条小路，也叫得出大多数鸟儿的名字。",
        "如果指示灯闪烁两次，请按下复位按钮，等待十秒钟后再试。",
        "博物馆星期一闭馆，节假日除外，那时开放到晚上九点半。",
        "三月里他们又测量了这条河，宽12.7米，和祖父辈记下的差不多。",
        "一只白耳朵的小狗冒着雨跟我们回了家，从此再也没有离开。",
        "请写信到图书馆，或者拨打电话，如果您想继续使用借书证。",
        "塔楼还剩下什么呢？几级台阶，一堵黄色的石墙，还有一个好听的故事。",
    ),
}

SIGNS = {
    "en": (
        ("Station Road",),
        ("NO PARKING", "8 am - 6 pm"),
        ("Old Harbour", "Museum & Café", "Open daily"),
        ("EXIT 24", "Airport North"),
        ("Mind the step",),
        ("FRESH BREAD", "Baked every morning"),
        ("Welcome to Ashbury", "Please drive carefully"),
        ("Platform 3", "Trains to London"),
    ),
    "fr": (
        ("Rue de la Forêt",),
        ("SORTIE DE VÉHICULES", "Stationnement interdit"),
        ("Boulangerie", "Pâtisserie artisanale", "Ouvert le dimanche"),
        ("Hôtel de Ville", "Place du Marché"),
        ("Chemin des Écoliers",),
        ("DÉFENSE D'AFFICHER", "Loi du 29 juillet 1881"),
        ("Musée des Beaux-Arts", "Entrée à gauche"),
        ("Voie 7", "Trains grandes lignes"),
    ),
    "zh": (
        ("人民路",),
        ("禁止停车", "早八点至晚六点"),
        ("老码头博物馆", "每日开放"),
        ("机场北", "出口24"),
        ("小心台阶",),
        ("新鲜面包", "每天早晨出炉"),
        ("欢迎来到海滨公园", "请勿乱扔垃圾"),
        ("三号站台", "开往上海"),
    ),
}

MENUS = {
    "en": (
        "Onion soup",
        "Grilled trout",
        "Roast chicken",
        "Green salad",
        "Apple pie",
        "Lemon tart",
        "Black coffee",
        "Cheese board",
    ),
    "fr": (
        "Soupe à l'oignon",
        "Truite grillée",
        "Poulet rôti",
        "Salade verte",
        "Tarte aux pommes",
        "Crème brûlée",
        "Café noir",
        "Plateau de fromages",
    ),
    "zh": ("番茄炒蛋", "清蒸鲈鱼", "宫保鸡丁", "红烧豆腐", "蔬菜汤面", "扬州炒饭", "冰糖银耳", "绿茶一壶"),
}

CODE = (
    "def area(width, height):",
    '    """Square metres."""',
    "    if width < 0 or height < 0:",
    '        raise ValueError("negative")',
    "    return width * height",
    "for room in house.rooms:",
    "    total += area(*room.size)",
    'print(f"{total:.2f} m2")',
    "$ git commit -m 'Fix the roof'",
    "[main 3f9c2ab] 2 files changed",
)

"""Word lists of the embedded model's synthetic world: names on screens, colours, shapes, plain English words.

Owns no state. `NOVEL` words are held out: training pictures never show them, evaluation does.
"""

SETTINGS = (
    "Bluetooth|Wi-Fi|Sound|Display|Battery|Storage|Privacy|Location|Camera|Keyboard|Mouse|Printer|Network|Security|"
    "Updates|Language|Time|Accounts|Apps|Notifications|Airplane mode|Dark mode|Night light|Hotspot|VPN|"
    "Do not disturb|Auto-rotate|Vibration|Flashlight|Mobile data|NFC|Backup|Microphone|Power saver|Screen lock|"
    "Fingerprint|Wallpaper|Themes|Fonts|Gestures|Captions|Magnifier|Sync|Cast|Widgets|Animations|Autofill|Firewall"
).split("|")
BUTTONS = (
    "OK|Cancel|Save|Apply|Next|Back|Submit|Close|Log in|Send|Delete|Add|Search|Reset|Help|Buy|Yes|No|Retry|Open"
).split("|")
TITLES = "Warning|Error|Question|Update|Message|Confirm|Notice|Welcome|Save file|Delete file|Sign in|New version".split("|")
SIGNS = (
    "open|closed|exit|stop|push|pull|sale|hotel|bakery|coffee|danger|welcome|no parking|wet paint|quiet|library|"
    "museum|station|platform|tickets|pharmacy|school|office|market|bus stop|one way|do not enter|slow|taxi|toilets|"
    "keep left|keep right|private|for rent|for sale|fresh fish|free wifi|sold out|please wait|new"
).split("|")
WORDS = (
    "about above action after again agree animal answer apple arrive autumn bank basket beach before better bird "
    "board boat book bottle bread bridge bright brother build camp candle carry castle center chair change cheap "
    "cherry child church city clean clear climb cloud coast cold corner cotton country cover cream create cross "
    "dance dark decide deep design dinner doctor door double dream drive early earth east empty energy engine enjoy "
    "evening every family farm father field final finger fire flower forest fresh friend front fruit future garden "
    "gentle glass gold grand grass ground group guide happy harbor heart heavy hello history holiday honey horse "
    "house hungry island jacket journey kitchen lake large laugh leader learn lemon letter light little local lucky "
    "machine matter meadow measure member metal middle minute model modern moment money monkey morning mother "
    "mountain music narrow nature never night north number object ocean old order other paper park party people "
    "pepper picture piece place planet plant point pocket potato power present press pretty price prince public "
    "queen question quick rabbit radio rain reach ready reason record report result rice river road rocket roof "
    "room round sail salt sample sand science season second secret seven shadow share shop short silver simple "
    "sister sky small snow social soft south special spring stage stone story strange street strong student sugar "
    "summer sunny sweet table teacher theater thing ticket today together travel tree trip tunnel under union "
    "valley value village violet visit voice walk wall warm watch water wave week west wheel wild wind window "
    "winter wonder wood world write young"
).split()
NOVEL = WORDS[7::14]
TRAIN_WORDS = [w for w in WORDS if w not in set(NOVEL)]

SHAPES = ["circle", "square", "triangle", "star", "diamond", "rectangle"]
# Hue in degrees, saturation and lightness in percent: ranges in which people agree on the name.
COLOURS = {
    "red": ((352, 366), (70, 100), (40, 54)),
    "green": ((98, 150), (45, 100), (28, 48)),
    "blue": ((207, 240), (60, 100), (36, 58)),
    "yellow": ((48, 58), (85, 100), (46, 60)),
    "purple": ((268, 290), (40, 95), (32, 50)),
    "orange": ((23, 35), (88, 100), (48, 57)),
    "pink": ((322, 345), (65, 100), (68, 80)),
    "brown": ((17, 30), (38, 70), (22, 33)),
    "black": ((0, 360), (0, 15), (0, 9)),
    "white": ((0, 360), (0, 20), (96, 100)),
    "gray": ((0, 360), (0, 5), (42, 64)),
}
CHARACTERS = " abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.,:!?>"

# Auxiliary classes of one merged cell (32x32 pixels).
KINDS = ["background", "row", "on", "off", "button", "title", "sign", "text"] + SHAPES
LABELS = [""] + sorted(set(SETTINGS + BUTTONS + TITLES))
COLOUR_NAMES = [""] + list(COLOURS)


def plural(noun: str) -> str:
    return noun + "s"


def with_article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def joined(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]

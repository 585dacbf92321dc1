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
APPS = (
    "Settings|Mail|Maps|Music|Photos|Notes|Clock|Browser|Files|Calendar|Phone|Chat|Camera|Store|Games|Books|Weather|Terminal|"
    "Contacts|Calculator|Video|Health|Wallet|News"
).split("|")
FIELDS = (
    "Name|Email|Password|City|Phone|Address|Title|Message|User|Company|Country|Code|Date|Amount|Street|Age|Subject|Website"
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

# More plain words, for reading lessons and the tokenizer.
MORE = (
    "able access account across act active actor actual address admit adult advice affect afraid age agent air alarm album alert alive "
    "allow alone along already also always amount anchor angle angry ankle annual another any anyone appear area argue arm army art "
    "artist aside ask asleep attack attend aunt author avoid awake award away baby back bad bag baker balance ball band bar bare "
    "barrel base basic bath battle bean bear beauty bed bee begin behind believe bell belong below belt bench bend berry beside bicycle big "
    "bill bite bitter blanket block blood bloom blow bone border born borrow both bottom bowl box boy brain branch brave break breath brick "
    "brief broad broken brush bucket budget bus bush busy butter buy cabin cable cake calendar call calm can canal cap capital car card "
    "care carpet cart case cash cat catch cause cave ceiling cell cent certain chain chalk chance channel chapter charge chart check cheese "
    "chest chicken chief choice choose circus citizen claim class clay clerk clever client clock close cloth club coach coal coat code coin "
    "collect college color column come common company compare complete concert connect contact contain control cook cool copper copy cost could couple course "
    "court cousin cow crazy credit crew crowd crown cup current curtain customer cut daily damage danger data date daughter dawn day deal "
    "dear debate degree delay deliver demand depend desert desk detail device dial diary differ dig dining direct dirt discover dish distance divide "
    "do dog dollar done down dozen draft drag drama draw dress drink drop drum dry duck due dust duty each eager eagle ear earn ease "
    "edge editor egg eight either elbow elder elect eleven else email employ end enough enter entire equal error escape estate even event ever exact "
    "example except excite exercise exit expect expert explain extra eye face fact fail fair faith fall false famous fan far fast fat fault favor fear "
    "feather feed feel fence few fiction fifth fight figure fill film find fine finish first fish fit five fix flag flame flat flight float floor flow "
    "fly focus fold follow food foot force foreign forget fork form forty forward four fox frame free freeze fuel full fun funny fur gain game gap "
    "gas gate gather general get giant gift girl give glad globe go goal goat good grace grade grain gray great green greet grey grow guard guess guest "
    "guitar gulf habit hair half hall hammer hand hang happen hard hat have head health hear heat height help hen here hero hide high hill hint hire hit "
    "hold hole home honest hook hope host hot hotel hour how huge human hundred hunt hurry ice idea ill image impact inch income index inform ink inner "
    "insect inside invite iron issue item job join joke judge juice jump just keen keep key kick kid kind king kiss knee knife knock know labor lack ladder "
    "lady lamp land lane last late lawn law lazy lead leaf least leather leave left leg legal length less let level lie lift like limb limit line lion lip list "
    "listen live load loan lock log long look lose lost lot loud love low lunch mail main make man manager many map march mark mask mass master match may "
    "meal mean meat media meet melt memory mention menu mercy message meter mild mile milk mill mind mine minor mirror miss mist mix mobile mode moon moral "
    "more most motor mouse mouth move movie much mud muscle must nail name nation native near neck need needle neighbor nerve nest net news next nice nine "
    "noble noise none noon nose note notice novel now nurse nut oak obey off offer office often oil once one onion only open orange orbit organ out outer "
    "oven over owner pack page pain paint pair palace pale pan panel parent part pass past path patient pattern pause pay peace pear pen pencil penny perfect "
    "period person phone photo piano pick pig pile pilot pin pine pink pipe pitch plain plan plate play please plenty plum pole policy pond pool poor popular port "
    "position possible post pot pound pour praise pray prefer prepare price print prison private prize problem produce profit program promise proof proud prove "
    "pull pump pure purple push put quality quarter quiet quite race rail raise range rare rate rather raw read real reach receive recipe red refuse region regret "
    "relax remain remember remove rent repair repeat reply request rescue rest return reward rhythm rich ride right ring rise risk rival rob rock role roll root rope "
    "rose rough route row royal rub rule run rush sad safe sail salad sale same save saw say scale scene school score sea search seat see seed seek seem self sell send "
    "sense serve set settle shade shake shape share sharp sheep sheet shelf shell shine ship shirt shoe shoot shore shoulder shout show shower shut sick side sight "
    "sign silent silk sing single sink sit six size skill skin skirt sleep slice slide slow smart smell smile smoke smooth snake soap soccer sock sofa soil solve some "
    "son song soon sort soul sound soup space speak speed spell spend spider spin spirit spoon sport spot spread square staff stamp stand star start state station "
    "stay steam steel step stick still stir stock stop store storm strange stream stretch strike string strip study style such suit sun sure surface swan swim swing "
    "switch symbol system tail take tale talk tall tank tape task taste tax tea team tear tell ten tennis tent term test text thank than that then theory there thick "
    "thin third thirty this thought three throw thunder tide tie tiger time tin tiny tip tire title toast toe tomato tone tongue tool tooth top total touch tour toward "
    "tower town toy track trade train treat trick trip truck true trust truth try tube turn twelve twice two type ugly uncle until up upon upper use usual vast very "
    "view visitor vote wage wait wake want war wash waste way weak wealth wear weather web weight welcome well wet what wheat when where which while white who whole "
    "why wide wife will win wine wing wise wish with woman wool work worry worth wrong yard year yellow yes yet you zero zone"
).split()
# Made-up words (syllables), so that reading cannot lean on a list.
ONSETS = "b bl br c ch cl d dr f fl g gr h j k l m n p pl pr qu r s sh sl st t th tr v w y z".split()
NUCLEI = "a e i o u ai ea ee oa ou".split()
CODAS = ["", "", "n", "r", "l", "t", "s", "m", "ck", "nd", "st", "ng"]


def invented(rng) -> str:
    """A pronounceable word of one to three syllables that no list holds."""
    return "".join(rng.choice(ONSETS) + rng.choice(NUCLEI) + rng.choice(CODAS) for _ in range(rng.choice([1, 2, 2, 3])))

NOVEL = WORDS[7::14] + MORE[7::14]
TRAIN_WORDS = [w for w in dict.fromkeys(WORDS + MORE) if w not in set(NOVEL)]

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
KINDS = ["background", "row", "on", "off", "button", "title", "sign", "text"] + SHAPES + [
    "icon", "field", "link", "heading", "paragraph", "item", "cell", "checkbox"]
LABELS = [""] + sorted(set(SETTINGS + BUTTONS + TITLES + APPS + FIELDS))
COLOUR_NAMES = [""] + list(COLOURS)


def plural(noun: str) -> str:
    return noun + "s"


def with_article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def joined(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]

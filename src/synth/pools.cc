// The pools that slots of templates draw from.
#include <fmt/core.h>

#include <cassert>

#include "synth/templates.h"

namespace longspan {

namespace {

using Words = std::vector<const char*>;

struct Pool {
  const char *name, *language;
  Words first, second;  // a value is one of the first and one of the second, if there is any
  const char* between;
};

// Names are made of two parts, so that a context rarely holds one already.
const std::vector<Pool>& pools() {
  static const std::vector<Pool> table = {
      {"person",
       "en",
       {"Ada",     "Bertram", "Celia",  "Dorian", "Edith",      "Fergus",  "Greta",   "Hollis",
        "Ingrid",  "Jasper",  "Keziah", "Lionel", "Mabel",      "Nestor",  "Odette",  "Piers",
        "Quilla",  "Rufus",   "Sabine", "Tobias", "Ursula",     "Viggo",   "Willa",   "Xavier",
        "Yolanda", "Zeno",    "Amira",  "Bruno",  "Clementine", "Desmond", "Elspeth", "Florian"},
       {"Abernethy",  "Brackwell",  "Cortland",    "Dunmore",   "Ellingham",   "Fairweather", "Grindal",
        "Hathersage", "Inverary",   "Jellicoe",    "Kestrelby", "Lanfranc",    "Merriden",    "Nightingale",
        "Ormsby",     "Pendlebury", "Quarrington", "Ravenscar", "Silverthorn", "Tremaine",    "Underhill",
        "Vandermeer", "Wexcombe",   "Yarborough",  "Zellweger", "Aldous",      "Birkenshaw",  "Calloway",
        "Drummond",   "Eastlake",   "Farthingale", "Gladwell"},
       " "},
      {"town",
       "en",
       {"Alder", "Birch", "Copper", "Dray",   "Elm",   "Fen",     "Gorse",  "Hazel", "Iron",   "Juniper",
        "Kell",  "Lark",  "Marrow", "Nettle", "Otter", "Pike",    "Quarry", "Rowan", "Sorrel", "Thistle",
        "Umber", "Vine",  "Wren",   "Yarrow", "Amber", "Bramble", "Cinder", "Dapple"},
       {"wick", "mouth", "stead", "gate", "hollow", "mere", "combe", "haven", "ridge", "thorpe", "bury",
        "minster", "holm", "well", "marsh", "cross"},
       ""},
      {"object",
       "en",
       {"a brass", "a cracked", "a silver", "an ivory", "a wooden", "a painted", "a rusty", "a velvet",
        "a glass", "a copper", "a leather", "a marble"},
       {"compass", "lantern", "music box", "telescope", "chess set", "thimble", "hourglass", "inkwell",
        "birdcage", "candlestick", "suitcase", "spinning top", "weather vane", "spyglass", "jewel case",
        "letter opener"},
       " "},
      {"job",
       "en",
       {"baker", "surveyor", "glazier", "schoolmaster", "apothecary", "saddler", "bookbinder", "gardener",
        "locksmith", "tailor", "beekeeper", "printer", "cooper", "stonemason", "potter", "miller"},
       {},
       ""},
      {"animal",
       "en",
       {"parrot", "tortoise", "greyhound", "goat", "donkey", "raven", "ferret", "pony", "heron", "badger",
        "hare", "falcon"},
       {},
       ""},
      {"pet",
       "en",
       {"Biscuit", "Captain", "Domino", "Pepper", "Sergeant", "Thunder", "Velvet", "Whiskers", "Marzipan",
        "Pudding", "Comet", "Tinker", "Bramble", "Cobweb", "Juno", "Hector"},
       {},
       ""},
      {"colour",
       "en",
       {"crimson", "turquoise", "mustard yellow", "lilac", "olive green", "ivory white", "cobalt blue",
        "rust brown", "salmon pink", "slate grey"},
       {},
       ""},
      {"food",
       "en",
       {"smoked", "pickled", "roasted", "candied", "dried", "spiced"},
       {"herring", "chestnuts", "plums", "beetroot", "mushrooms", "almonds", "pears", "onions", "trout",
        "quinces"},
       " "},
      {"instrument",
       "en",
       {"bassoon", "viola", "dulcimer", "trombone", "harp", "oboe", "kettledrum", "mandolin", "cello",
        "clarinet", "lute", "zither"},
       {},
       ""},
      {"place",
       "en",
       {"old mill", "town hall", "bakery", "chapel", "post office", "granary", "pharmacy", "theatre",
        "smithy", "bookshop", "tannery", "stable"},
       {},
       ""},
      {"tongue",
       "en",
       {"Danish", "Welsh", "Basque", "Greek", "Hungarian", "Finnish", "Catalan", "Polish", "Portuguese",
        "Armenian"},
       {},
       ""},
      {"sport",
       "en",
       {"archery", "rowing", "fencing", "skating", "wrestling", "sailing", "chess", "running", "curling",
        "riding"},
       {},
       ""},
      {"month",
       "en",
       {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
        "November", "December"},
       {},
       ""},
      {"person",
       "zh",
       {"赵", "钱", "孙", "李", "周", "吴", "郑", "冯", "陈", "褚", "卫", "蒋", "沈", "韩", "杨",
        "朱", "秦", "许", "何", "吕", "施", "张", "孔", "曹", "严", "华", "魏", "陶", "姜", "戚"},
       {"文渊", "晓岚", "景行", "若水", "怀瑾", "思齐", "明远", "清和", "雨桐", "子墨",
        "嘉树", "望舒", "云帆", "听雪", "知秋", "慕白", "守拙", "一鸣", "书瑶", "松年",
        "梦溪", "逸之", "凌霄", "念慈", "允恭", "婉如", "鹤鸣", "秉烛", "采薇", "长风"},
       ""},
      {"town",
       "zh",
       {"柳", "枫", "石", "青", "白", "双", "龙", "凤", "清", "古",
        "竹", "梅", "松", "云", "月", "金", "东", "南", "长", "临"},
       {"溪镇", "桥镇", "塘村", "湾镇", "坪村", "桐镇", "渡口镇", "泉村", "岭镇", "浦镇", "堰村", "陂镇",
        "坞村", "沙镇", "田村", "井镇"},
       ""},
      {"object",
       "zh",
       {"一只铜制的", "一把旧", "一个木头", "一个彩绘", "一件银质的", "一个玉雕", "一个竹编的", "一个象牙"},
       {"算盘", "罗盘", "灯笼", "砚台", "笔筒", "茶壶", "烛台", "棋盘", "鸟笼", "首饰盒", "药箱", "梳子"},
       ""},
      {"job",
       "zh",
       {"裁缝", "木匠", "药师", "教书先生", "花匠", "石匠", "铁匠", "船工", "厨师", "画师", "账房", "酿酒师",
        "养蜂人", "邮差"},
       {},
       ""},
      {"animal",
       "zh",
       {"鹦鹉", "乌龟", "山羊", "毛驴", "黑猫", "猎犬", "白鹤", "兔子", "猴子", "八哥"},
       {},
       ""},
      {"pet",
       "zh",
       {"豆包", "将军", "墨玉", "雪球", "芝麻", "元宝", "铃铛", "追风", "汤圆", "琥珀", "阿福", "团子"},
       {},
       ""},
      {"colour",
       "zh",
       {"朱红色", "靛蓝色", "鹅黄色", "墨绿色", "月白色", "绛紫色", "赭石色", "天青色", "银灰色", "桃粉色"},
       {},
       ""},
      {"food",
       "zh",
       {"糖渍", "风干", "五香", "酒酿", "清蒸", "腌制"},
       {"鲈鱼", "板栗", "梅子", "香菇", "萝卜", "杏仁", "莲藕", "豆腐", "冬笋", "鸭肉"},
       ""},
      {"instrument",
       "zh",
       {"古筝", "琵琶", "二胡", "笛子", "扬琴", "唢呐", "洞箫", "月琴", "阮", "编钟"},
       {},
       ""},
      {"place",
       "zh",
       {"磨坊", "茶馆", "药铺", "祠堂", "书院", "粮仓", "染坊", "当铺", "戏楼", "驿站", "酒坊", "钟楼"},
       {},
       ""},
      {"tongue",
       "zh",
       {"粤语", "吴语", "闽南话", "客家话", "湘语", "赣语", "晋语", "四川话", "温州话", "徽州话"},
       {},
       ""},
      {"sport",
       "zh",
       {"射箭", "划船", "摔跤", "赛马", "围棋", "蹴鞠", "舞龙", "登山", "击剑", "投壶"},
       {},
       ""},
  };
  return table;
}

uint64_t between(Random& random, uint64_t least, uint64_t most) {
  return least + random.below(most - least + 1);
}

std::string letters_and_digits(Random& random) {
  auto letter = [&] { return static_cast<char>('A' + random.below(26)); };
  char a = letter(), b = letter();
  return fmt::format("{}{}-{}", a, b, between(random, 100, 9999));
}

const char* any(const Words& words, Random& random) { return words[random.below(words.size())]; }

}  // namespace

std::string draw_value(std::string_view pool, std::string_view language, Random& random) {
  bool chinese = language == "zh";
  if (pool == "number") return std::to_string(between(random, 12, 4999));
  if (pool == "year") return std::to_string(between(random, 1580, 1979));
  if (pool == "code") return letters_and_digits(random);
  if (pool == "time") {
    uint64_t hour = between(random, 6, 11), minute = between(random, 1, 59);
    return chinese ? fmt::format("晚上{}点{}分", hour, minute)
                   : fmt::format("{}:{:02} in the evening", hour, minute);
  }
  if (pool == "date") {
    uint64_t day = between(random, 1, 28);
    return chinese ? fmt::format("{}月{}日", between(random, 1, 12), day)
                   : fmt::format("{} {}", draw_value("month", "en", random), day);
  }
  for (const Pool& row : pools()) {
    if (row.name != pool || row.language != language) continue;
    std::string value = any(row.first, random);
    return row.second.empty() ? value : value + row.between + any(row.second, random);
  }
  assert(false);
  return "";
}

namespace {

/// Calls body(before, slot) for each slot, and body(rest, "") at the end.
template <typename Body>
void for_each_slot(std::string_view text, const Body& body) {
  for (size_t open; (open = text.find('{')) != std::string_view::npos;) {
    size_t close = text.find('}', open);
    assert(close != std::string_view::npos);
    body(text.substr(0, open), text.substr(open + 1, close - open - 1));
    text.remove_prefix(close + 1);
  }
  body(text, std::string_view());
}

std::string_view pool_of(std::string_view slot) {
  if (slot.ends_with('2')) slot.remove_suffix(1);
  return slot;
}

}  // namespace

void draw_slots(std::string_view text, std::string_view language, Random& random, Slots& slots) {
  for_each_slot(text, [&](std::string_view, std::string_view slot) {
    if (slot.empty() || slots.contains(std::string(slot))) return;
    auto taken = [&](const std::string& value) {
      for (const auto& [name, other] : slots)
        if (pool_of(name) == pool_of(slot) && other == value) return true;
      return false;
    };
    std::string value = draw_value(pool_of(slot), language, random);
    while (taken(value)) value = draw_value(pool_of(slot), language, random);
    slots[std::string(slot)] = value;
  });
}

std::string fill(std::string_view text, const Slots& slots) {
  std::string out;
  for_each_slot(text, [&](std::string_view before, std::string_view slot) {
    out += before;
    if (!slot.empty()) out += slots.at(std::string(slot));
  });
  return out;
}

}  // namespace longspan

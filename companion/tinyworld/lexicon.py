"""The words of Tiny World, English and Chinese in step, the most frequent first.

A word's probability falls with its place in the list, as ``1 / (place + 2)``: a few words are
common and most are rare, as in real languages (Zipf's law). No word stands in two lists.
"""

__all__ = [
    "PEOPLE",
    "PLACES",
    "COLOURS",
    "THINGS",
    "ANIMALS",
    "FOODS",
    "TIMES",
    "GOOD_FEELINGS",
    "BAD_FEELINGS",
]


def _rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().split("\n")]


#: Name, Chinese name, and pronoun.
PEOPLE = _rows("""
Anna 安娜 she
Ben 小本 he
Lily 莉莉 she
Tom 汤姆 he
Mia 米娅 she
Sam 山姆 he
Ella 艾拉 she
Max 马克斯 he
Nora 诺拉 she
Leo 利奥 he
Ruby 鲁比 she
Finn 芬恩 he
Clara 克拉拉 she
Hugo 雨果 he
Ivy 艾薇 she
Oscar 奥斯卡 he
Zoe 佐伊 she
Theo 西奥 he
Maya 玛雅 she
Noah 诺亚 he
Alice 爱丽丝 she
Felix 菲利克斯 he
Emma 艾玛 she
Jack 杰克 he
Rosa 罗莎 she
Peter 彼得 he
Nina 妮娜 she
Paul 保罗 he
Vera 薇拉 she
Karl 卡尔 he
Lucy 露西 she
Ted 泰德 he
""")

PLACES = _rows("""
park 公园
garden 花园
beach 海边
forest 森林
market 集市
school 学校
library 图书馆
farm 农场
river 河边
lake 湖边
museum 博物馆
station 车站
zoo 动物园
village 村子
castle 城堡
bakery 面包店
playground 操场
meadow 草地
harbour 港口
theatre 剧院
mountain 山上
island 小岛
bridge 桥头
attic 阁楼
""")

COLOURS = _rows("""
red 红色
blue 蓝色
green 绿色
yellow 黄色
white 白色
black 黑色
brown 棕色
pink 粉色
purple 紫色
grey 灰色
""")

#: Thing, Chinese word, and the measure word that counts it.
THINGS = _rows("""
ball 球 个
book 书 本
hat 帽子 顶
key 钥匙 把
box 盒子 个
kite 风筝 只
coin 硬币 枚
stone 石头 块
drum 鼓 面
bell 铃铛 个
scarf 围巾 条
lamp 灯 盏
boat 小船 条
ring 戒指 枚
cup 杯子 个
basket 篮子 个
feather 羽毛 根
map 地图 张
doll 娃娃 个
button 纽扣 颗
whistle 哨子 个
mirror 镜子 面
pencil 铅笔 支
ribbon 丝带 条
shell 贝壳 枚
bottle 瓶子 个
glove 手套 只
marble 弹珠 颗
puzzle 拼图 幅
rope 绳子 根
bag 书包 个
clock 闹钟 个
flute 笛子 支
letter 信 封
blanket 毯子 条
ladder 梯子 架
bucket 水桶 个
crown 王冠 顶
toy 玩具 个
ticket 票 张
""")

ANIMALS = _rows("""
dog 狗 只
cat 猫 只
bird 鸟 只
rabbit 兔子 只
duck 鸭子 只
horse 马 匹
frog 青蛙 只
cow 牛 头
sheep 绵羊 只
fox 狐狸 只
squirrel 松鼠 只
mouse 老鼠 只
goat 山羊 只
swan 天鹅 只
deer 鹿 头
turtle 乌龟 只
snail 蜗牛 只
pig 猪 头
bear 熊 头
fish 鱼 条
hedgehog 刺猬 只
butterfly 蝴蝶 只
donkey 驴 头
goose 鹅 只
""")

FOODS = _rows("""
cake 蛋糕 块
sandwich 三明治 个
pear 梨 个
cookie 饼干 块
banana 香蕉 根
bun 小圆面包 个
peach 桃子 个
carrot 胡萝卜 根
pancake 煎饼 张
plum 李子 个
tomato 西红柿 个
melon 甜瓜 个
muffin 松饼 个
dumpling 饺子 个
waffle 华夫饼 块
lemon 柠檬 个
cherry 樱桃 颗
pie 馅饼 个
grape 葡萄 颗
potato 土豆 个
""")

TIMES = [
    ("One morning", "一天早上"),
    ("One day", "有一天"),
    ("One evening", "一天傍晚"),
    ("One summer", "一年夏天"),
    ("One winter", "一年冬天"),
    ("Last week", "上个星期"),
    ("Long ago", "很久以前"),
    ("Yesterday", "昨天"),
]

GOOD_FEELINGS = [
    ("happy", "高兴"),
    ("glad", "快活"),
    ("proud", "自豪"),
    ("calm", "平静"),
    ("cheerful", "开心"),
    ("content", "满足"),
    ("thankful", "感激"),
    ("excited", "兴奋"),
]
BAD_FEELINGS = [
    ("sad", "伤心"),
    ("tired", "疲惫"),
    ("angry", "生气"),
    ("lonely", "孤单"),
    ("upset", "难过"),
    ("worried", "担心"),
    ("cold", "冷"),
    ("bored", "无聊"),
]

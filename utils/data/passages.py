"""Eight short passages in English and in Chinese: one and the same text in two languages.

Written for this course, sentence by sentence, to compare what a vocabulary does to languages. They
are under the license of the course's text (CC BY 4.0). Far too small to learn a language from.
"""

from __future__ import annotations

from typing import NamedTuple


class Passage(NamedTuple):
    """The same three to five sentences in two languages."""

    english: str
    chinese: str


def passages() -> tuple[Passage, ...]:
    """The eight passages, about 220 characters each in English and 65 in Chinese."""
    return tuple(Passage(*pair) for pair in _PAIRS)


_PAIRS = (
    (
        "Twice a day the sea climbs the harbour wall and falls back again. The moon pulls at the "
        "water, the earth turns below it, and the fishing boats rise and sink with a change that "
        "every child in town can foretell.",
        "海水每天两次爬上港口的石墙,又退回去。月亮牵引着海水,大地在它下面转动,渔船随之起落,"
        "这样的变化镇上每个孩子都能预先说出。",
    ),
    (
        "To bake bread you need flour, water, salt and patience. The dough must rest until it has "
        "doubled; in winter this takes all night. Whoever opens the oven too early finds a flat "
        "loaf and learns to wait.",
        "烤面包需要面粉、水、盐和耐心。面团要静置到两倍大;冬天得等一整夜。谁要是过早打开烤箱,"
        "就会得到一个扁平的面包,从此学会等待。",
    ),
    (
        "The night train leaves the capital at ten and reaches the coast at six in the morning. "
        "Most passengers sleep; some talk in the dining car until the lights go out. In 1998 a "
        "ticket cost 45 yuan, today it costs 230.",
        "夜班火车十点离开首都,早上六点到达海边。大多数乘客睡着了;有些人在餐车里聊到熄灯。"
        "1998年一张车票45元,如今要230元。",
    ),
    (
        "The old library keeps its books by the colour of their spines, a rule that nobody "
        "remembers choosing. Visitors laugh at first. After an hour they find what they were "
        "looking for, and two books that they were not.",
        "老图书馆按书脊的颜色摆放图书,没有人记得是谁定下这条规矩。来客起初都笑。一小时以后,"
        "他们找到了要找的书,还有两本没想找的书。",
    ),
    (
        "A measurement without an error is an opinion. Whoever weighs the same stone ten times "
        "gets ten numbers, and the spread between them says more about the scale than about the "
        "stone. Only then may two stones be compared.",
        "没有误差的测量只是一种看法。同一块石头称十次,会得到十个数字,它们之间的差别更多说明的是秤,"
        "而不是石头。知道了这一点,才能比较两块石头。",
    ),
    (
        "The doctor asked three questions before she looked at the pictures. How long has it hurt? "
        "What makes it worse? What are you afraid of? The last answer, she said, often explains "
        "more than the pictures do.",
        "医生在看片子之前问了三个问题。疼了多久?什么时候更疼?你害怕什么?她说,最后一个回答"
        "往往比片子说明得更多。",
    ),
    (
        "When the rain comes late, the farmers of the valley share the water of the upper lake. "
        "Each field gets it for two hours, by a list that is older than the road. Nobody has ever "
        "written down what happens to those who cheat.",
        "雨来得晚的时候,山谷里的农民共用上游湖里的水。每块田分得两个小时,按照一张比公路还要老的名单。"
        "欺骗的人会怎样,从来没有人写下来。",
    ),
    (
        "A child who learns to read first learns the letters, then the syllables, and one day sees "
        "whole words at once. A machine that reads begins with bytes. It, too, puts together what "
        "it has often seen side by side.",
        "学认字的孩子先学字母,再学音节,有一天忽然能一眼看出整个词。读书的机器从字节开始。"
        "它也把经常见到挨在一起的东西拼在一块。",
    ),
)

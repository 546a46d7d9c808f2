"""The world `text` in Python, for componentize-py."""

import collections
import re

import wit_world
from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.shapes import Answer_Many, Answer_None_, Answer_One, Mood, Point


class Shapes(exports.Shapes):
    def find(self, text, needle):
        wit_world.log(f"finding {needle}")
        lines = enumerate(text.split("\n"))
        points = [Point(n, match.start()) for n, line in lines for match in re.finditer(re.escape(needle), line)]
        if not points:
            return Answer_None_()
        return Answer_One(points[0]) if len(points) == 1 else Answer_Many(points)

    def shout(self, text, mood, styles):
        if not text:
            raise Err("nothing to shout")
        return text.upper() if mood is Mood.LOUD else text

    def words(self, text):
        return sorted(collections.Counter(text.split()).items())

"""A class that a library made something of, or that holds what does not pickle, is made anew there."""

import sqlite3
from dataclasses import dataclass

import msgspec
import pydantic
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from pymonik import Pymonik, task


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list["Book"]] = relationship(back_populates="author")


class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))
    author: Mapped[Author] = relationship(back_populates="books")


class Order(pydantic.BaseModel):
    number: int
    parts: list["Part"] = []


class Part(pydantic.BaseModel):
    name: str


class Point(msgspec.Struct, frozen=True):
    x: int
    y: "list[Point]" = []


@dataclass
class Store:
    name: str
    connection = sqlite3.connect(":memory:")

    def double(self, n):
        return self.connection.execute("select 2 * ?", (n,)).fetchone()[0]


@task
def use(author, order, store):
    again = Order.model_validate({"number": "3", "parts": [{"name": "a"}]})
    assert type(again.parts[0]) is Part and type(order) is Order
    assert msgspec.json.decode(b'{"x": 1, "y": [{"x": 2}]}', type=Point) == Point(1, [Point(2)])
    assert isinstance(author, Author) and isinstance(author.books[0], Book)
    return Author(id=2, name=author.name.upper(), books=author.books), again, store.double(4)


@task
def echo(value):
    return value


if __name__ == "__main__":
    author = Author(id=1, name="ada", books=[Book(id=1)])
    with Pymonik():
        back, order, doubled = use.invoke(author, Order(number=1), Store("s")).result(60)
        assert type(back) is Author and back.name == "ADA" and type(back.books[0]) is Book
        point = echo.invoke(Point(3)).result(60)
        assert type(point) is Point and point == Point(3)
        assert order == Order(number=3, parts=[Part(name="a")]) and doubled == 8

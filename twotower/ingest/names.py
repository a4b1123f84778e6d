"""Which column of a shop's file is which field."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from unicodedata import normalize

from twotower.errors import CatalogueError
from twotower.ingest.row import quoted

UsualNames = Mapping[str, Sequence[str]]

RESERVED = ("id", "time")
"""Fields that filters name, so that no attribute may be called so."""

# Fields, and other names that shops use for them, the likeliest first, without case, spaces and punctuation.
ITEM_NAMES: UsualNames = {
    "id": (
        "id", "itemid", "productid", "sku", "productcode", "itemcode", "articleid", "articlenumber", "asin", "uniqid",
        "variantsku", "handle",
        "商品id", "产品id", "商品编号", "产品编号", "商品编码", "货号", "编号",
        "artikelnummer", "artikelnr", "produktnummer", "référence", "referencia", "codice",
    ),
    "title": (
        "title", "name", "productname", "producttitle", "itemname", "itemtitle", "displayname", "productdisplayname",
        "标题", "商品标题", "商品名称", "产品名称", "名称", "品名", "商品名",
        "titel", "bezeichnung", "produktname", "artikelname", "titre", "nom", "título", "nombre", "titolo", "nome",
    ),
    "text": (
        "text", "description", "body", "bodyhtml", "longdescription", "productdescription", "itemdescription", "desc",
        "details", "summary", "shortdescription", "描述", "商品描述", "产品描述", "详情", "商品详情", "简介",
        "beschreibung", "produktbeschreibung", "artikelbeschreibung", "descripción", "descrizione", "descrição",
    ),
    "image": (
        "image", "imagepath", "imagefile", "photo", "picture", "img", "imageurl", "imagelink", "imagesrc", "photourl",
        "pictureurl", "imgurl", "图片", "商品图片", "主图", "图片链接",
        "bild", "foto", "imagen", "immagine", "imagem",
    ),
    "time": (
        "time", "releasedate", "released", "releasedat", "launchdate", "publishedat", "publisheddate",
        "publicationdate", "createdat", "created", "creationdate", "dateadded", "availablefrom", "availabilitydate",
        "date", "timestamp", "上架时间", "上市时间", "发布时间", "创建时间", "上架日期", "日期",
        "erscheinungsdatum", "datum", "fecha",
    ),
}  # fmt: skip
EVENT_NAMES: UsualNames = {
    "user": (
        "user", "userid", "customerid", "customer", "visitorid", "shopperid", "memberid", "sessionid",
        "用户id", "用户", "kundennummer", "kunde", "client", "cliente",
    ),
    "item": (
        "item", "itemid", "productid", "product", "sku", "articleid", "asin", "商品id", "商品", "产品id",
        "artikelnummer", "artikel", "produkt", "référence", "referencia",
    ),
    "kind": (
        "kind", "event", "eventtype", "eventname", "action", "behavior", "behaviour", "type", "行为", "行为类型",
    ),
    "time": (
        "time", "timestamp", "eventtime", "eventtimestamp", "ts", "datetime", "createdat", "occurredat", "unixtime",
        "date", "eventdate", "时间", "时间戳", "日期", "zeitpunkt", "zeitstempel", "datum", "fecha",
    ),
    "value": ("value", "weight"),
    "event_id": ("eventid", "interactionid"),
}  # fmt: skip


def fields_of(
    columns: Sequence[str], declared: Mapping[str, str], usual: UsualNames, place: str
) -> dict[str, str]:
    """The column of each field.

    A declared column comes first, then one with the field's own name, then the likeliest of the usual names.

    Args:
        columns: of the file.
        declared: see `ReadOptions.columns`.
        usual: the fields, and their usual names.
        place: the file, for errors.

    Raises:
        CatalogueError: a declared column does not exist, or two columns have the same usual name.
    """
    for name, column in declared.items():
        if column and column not in columns:
            raise CatalogueError(f"{place} has no column {quoted(column)} for {name}: {listed(columns)}")
    found = {name: column for name, column in declared.items() if name in usual and column}
    kept = set(declared.values())
    for name in usual:
        if name not in declared and name in columns and name not in kept:
            found[name] = name
            kept.add(name)
    for name, names in usual.items():
        if name in found or name in declared:
            continue
        for each in names:
            alike = [column for column in columns if _bare(column) == each and column not in kept]
            if len(alike) > 1:
                raise CatalogueError(
                    f"{place} has the columns {quoted(alike[0])} and {quoted(alike[1])}, and either could be "
                    f"the {name}: keep one, or declare columns {name}={alike[0]}"
                )
            if alike:
                found[name] = alike[0]
                kept.add(alike[0])
                break
    return found


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", normalize("NFKC", name).casefold())  # "é" of one or two characters, "ＩＤ"


def listed(columns: Sequence[str]) -> str:
    """Advice to name one of these columns, of which only the first are listed if there are many."""
    shown = ", ".join(column[:40] for column in columns[:12])
    return f"name one of {shown}{' and others' if len(columns) > 12 else ''}"

"""Makes tests/golden/documents: small documents of our own words in many kinds and encodings, and table.json with what
the reader must make of each: the exact text and remarks, or the sentence of the refusal ("FILE" stands for the path).

The writers are those of other people: Python's codecs and zipfile, zstd, xz, reportlab, pikepdf, EbookLib, python-docx,
odfpy, Pillow. The texts expected are written down here by hand, not taken from the program.
Run it as: python tools/make_document_golden.py   Needs these packages, and the programs xz and zstd.
"""

import bz2
import gzip
import io
import json
import pathlib
import subprocess
import tarfile
import zipfile

import docx
import odf.opendocument
import odf.table
import odf.text
import pikepdf
from ebooklib import epub
from PIL import Image
from reportlab.lib.pagesizes import A5
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen import canvas

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "documents"

ENGLISH = "The keeper climbed the stairs at dusk.\nHe counted them aloud: 212.\n\nNobody had lit the lamp for a year.\n"
FRENCH = ("Le gardien monta l'escalier à la tombée de la nuit.\nÉtait-ce déjà l'été ? La fenêtre était fermée, et le café, "
          "froid.\n")
GERMAN = "Der Wärter sagte: „Das kostet 12 € – nicht mehr.“\nDraußen ging der Sturm über die Dünen.\n"
RUSSIAN = "Смотритель поднялся по лестнице в сумерках.\nЛампу не зажигали целый год.\n"
CHINESE = "第一章 灯塔\n\n老王在海边守了三十年灯塔。每天傍晚，他都要爬上二百一十二级台阶，把灯点亮。\n今年冬天，船来得很少。\n"
TRADITIONAL = "第一章 燈塔\n\n老王在海邊守了三十年燈塔。每天傍晚，他都要爬上二百一十二級臺階，把燈點亮。\n今年冬天，船來得很少。\n"
JAPANESE = "灯台守は夕方になると階段を上った。\n二百十二段あった。カモメが窓の外で鳴いていた。\n"
KOREAN = "등대지기는 해가 질 때마다 계단을 올라갔다.\n계단은 모두 이백열두 개였다. 올해 겨울에는 배가 거의 오지 않았다.\n"

table = []


def crlf(text):
    return text.replace("\n", "\r\n")


def add(name, what, data, text=None, remarks=(), refusal=None):
    (GOLDEN / name).write_bytes(data)
    row = {"file": name, "what": what}
    if refusal is not None:
        row["refusal"] = "FILE: " + refusal
    else:
        row.update(text=text, remarks=["FILE: " + r for r in remarks])
    table.append(row)


def read_as(name, why=""):
    return [f"is read as {name}{why}; --encoding NAME if that is wrong"]


def by(program, data):
    return subprocess.run(program, input=data, stdout=subprocess.PIPE, check=True).stdout


def texts():
    by_mark = ", as its byte order mark says"
    add("utf8.txt", "UTF-8", (ENGLISH + CHINESE).encode(), ENGLISH + CHINESE)
    add("mark_crlf.txt", "UTF-8 with byte order mark, CR LF", crlf(ENGLISH).encode("utf-8-sig"), ENGLISH)
    add("lone_cr.txt", "lines end in CR", ENGLISH.replace("\n", "\r").encode(), ENGLISH)
    add("utf16le.txt", "UTF-16 with mark, CR LF", b"\xff\xfe" + crlf(JAPANESE).encode("utf-16-le"), JAPANESE,
        read_as("UTF-16LE", by_mark))
    add("utf16be.txt", "UTF-16 big-endian without mark", CHINESE.encode("utf-16-be"), CHINESE, read_as("UTF-16BE"))
    add("utf32le.txt", "UTF-32 without mark", RUSSIAN.encode("utf-32-le"), RUSSIAN, read_as("UTF-32LE"))
    add("gb18030.txt", "GB18030, CR LF", crlf(CHINESE).encode("gb18030"), CHINESE, read_as("GB18030"))
    add("big5.txt", "Big5", TRADITIONAL.encode("big5"), TRADITIONAL, read_as("Big5"))
    add("shift_jis.txt", "Shift-JIS", JAPANESE.encode("cp932"), JAPANESE, read_as("Shift-JIS"))
    add("euc_kr.txt", "EUC-KR", KOREAN.encode("euc_kr"), KOREAN, read_as("EUC-KR"))
    add("latin1.txt", "Latin-1", FRENCH.encode("latin-1"), FRENCH, read_as("Windows-1252"))
    add("windows1252.txt", "Windows-1252", GERMAN.encode("cp1252"), GERMAN, read_as("Windows-1252"))
    add("windows1251.txt", "Windows-1251", RUSSIAN.encode("cp1251"), RUSSIAN, read_as("Windows-1251"))
    damaged = CHINESE.encode()
    add("damaged_utf8.txt", "UTF-8, one byte lost", damaged[:40] + damaged[41:],
        refusal="is UTF-8, but not at byte 39 (0xe4); repair it, or name the encoding with --encoding if it is another one")
    damaged = bytearray(CHINESE.encode("gb18030"))
    damaged[30] = 0xFF
    add("damaged_gb18030.txt", "GB18030, one byte changed", bytes(damaged), refusal="is GB18030, but not at byte 29 (0xca); repair it, or name the encoding with --encoding if it is "
                "another one")
    add("notes.md", "Markdown", b"# Notes\r\n\r\n- *one*\r\n- two\r\n", "# Notes\n\n- *one*\n- two\n")


def compressed():
    add("plain.txt.gz", "gzip", gzip.compress(ENGLISH.encode(), mtime=0), ENGLISH)
    add("plain.txt.xz", "xz", by(["xz", "-c"], ENGLISH.encode()), ENGLISH)
    add("plain.txt.zst", "zstd", by(["zstd", "-qc"], ENGLISH.encode()), ENGLISH)
    add("plain.txt.bz2", "bzip2", bz2.compress(ENGLISH.encode()), ENGLISH)
    add("packed.txt", "gzip under another name, GB18030 inside", gzip.compress(CHINESE.encode("gb18030"), mtime=0), CHINESE,
        read_as("GB18030"))
    whole = gzip.compress(ENGLISH.encode(), mtime=0)
    add("cut.txt.gz", "gzip, cut off", whole[:60], refusal="ends at byte 60 in the middle of gzip data; is it complete?")


def pdf(draw, **options):
    out = io.BytesIO()
    page = canvas.Canvas(out, pagesize=A5, invariant=1, **options)
    draw(page)
    page.save()
    return out.getvalue()


def draw_lines(page, lines, font="Times-Roman"):
    text = page.beginText(50, 500)
    text.setFont(font, 11)
    for line in lines:
        text.textLine(line)
    page.drawText(text)


def draw_report(page):
    draw_lines(page, ["The keeper climbed the stairs at dusk.", "He counted them aloud: 212."])
    page.showPage()
    page.rect(50, 50, 100, 100)
    page.showPage()
    draw_lines(page, ["Nobody had lit the lamp for a year."])
    page.showPage()


def pdfs():
    report = pdf(draw_report)
    add("report.pdf", "PDF of 3 pages, the second a drawing", report,
        "[page 1]\nThe keeper climbed the stairs at dusk.\nHe counted them aloud: 212.\n\n"
        "[page 3]\nNobody had lit the lamp for a year.\n", ["no text on page 2"])
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    add("chinese.pdf", "PDF in Chinese, font not embedded",
        pdf(lambda page: draw_lines(page, ["老王在海边守了三十年灯塔。", "船来得很少。"], "STSong-Light")),
        "[page 1]\n老王在海边守了三十年灯塔。\n船来得很少。\n")
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(report)) as document:
        document.save(out, encryption=pikepdf.Encryption(user="secret", owner="secret"), deterministic_id=False)
    add("locked.pdf", "PDF with a password", out.getvalue(),
        refusal="is a PDF that needs a password; save a copy without it first (qpdf --decrypt --password=...)")
    add("scan.pdf", "PDF of a scan",
        pdf(lambda page: page.drawInlineImage(Image.new("L", (30, 40), 200), 50, 50)),
        refusal="is a PDF of 1 page without text; if it is a scan, run OCR over it first (ocrmypdf)")
    add("cut.pdf", "PDF, cut off", report[:200], refusal="is a damaged PDF; is it complete?")


def books():
    book = epub.EpubBook()
    book.set_identifier("longspan-keeper")
    book.set_title("The Keeper of the Light")
    book.set_language("en")
    book.add_author("Mara Lindholt")
    second = epub.EpubHtml(title="Two", file_name="a second.xhtml", lang="en")
    second.content = "<h2>Two</h2><p>Nobody had lit the&nbsp;lamp<br/>for a year.</p>"
    first = epub.EpubHtml(title="One", file_name="b.xhtml", lang="en")
    first.content = ("<h2>One</h2><p>The keeper climbed\n the <i>stairs</i> at dusk.</p><p>He counted them aloud:&#160;212.</p>"
                     "<script>count()</script>")
    for chapter in (second, first):
        book.add_item(chapter)
    book.add_item(epub.EpubNcx())
    book.spine = [first, second]
    epub.write_epub(str(GOLDEN / "keeper.epub"), book)
    data = (GOLDEN / "keeper.epub").read_bytes()
    add("keeper.epub", "EPUB, spine in another order than the files", data,
        "The Keeper of the Light\nMara Lindholt\n\n[chapter 1]\n\n## One\n\nThe keeper climbed the stairs at dusk.\n\n"
        "He counted them aloud: 212.\n\n[chapter 2]\n\n## Two\n\nNobody had lit the lamp\nfor a year.\n")
    out = io.BytesIO(data)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("META-INF/encryption.xml",
                         '<encryption><EncryptedData><CipherData><CipherReference URI="EPUB/b.xhtml"/></CipherData>'
                         "</EncryptedData></encryption>")
    add("protected.epub", "EPUB with DRM", out.getvalue(),
        refusal="is protected (DRM); longspan cannot read it, only the shop's own reader can")


W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def docx_by_hand():
    """What python-docx cannot write: a footnote, a tracked change, a text box with its fallback."""
    document = (
        f'<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w="{W}" '
        'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><w:body>'
        "<w:p><w:r><w:t>The stairs</w:t></w:r><w:r><w:footnoteReference w:id=\"2\"/></w:r>"
        "<w:r><w:t xml:space=\"preserve\"> have </w:t></w:r><w:del><w:r><w:delText>200</w:delText></w:r></w:del>"
        "<w:ins><w:r><w:t>212</w:t></w:r></w:ins><w:r><w:t xml:space=\"preserve\"> steps.</w:t></w:r></w:p>"
        "<w:p><w:r><mc:AlternateContent><mc:Choice><w:txbxContent><w:p><w:r><w:t>A box.</w:t></w:r></w:p></w:txbxContent>"
        "</mc:Choice><mc:Fallback><w:p><w:r><w:t>A box.</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent></w:r></w:p>"
        "<w:p><w:r><w:t>Left</w:t><w:tab/><w:t>right</w:t><w:br/><w:t>below</w:t></w:r></w:p></w:body></w:document>")
    notes = (f'<w:footnotes xmlns:w="{W}"><w:footnote w:id="-1"><w:p/></w:footnote><w:footnote w:id="2"><w:p><w:r>'
             "<w:t>Counted in 1912.</w:t></w:r></w:p></w:footnote></w:footnotes>")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", document)
        archive.writestr("word/footnotes.xml", notes)
    return out.getvalue()


def office():
    letter = docx.Document()
    letter.add_heading("The Keeper", 1)
    letter.add_paragraph("The keeper climbed the stairs at dusk.")
    letter.add_paragraph("lamp oil", style="List Bullet")
    letter.add_paragraph("matches", style="List Bullet")
    letter.add_paragraph("climb", style="List Number")
    letter.add_paragraph("light", style="List Number")
    letter.add_heading("Costs", 2)
    cells = letter.add_table(rows=2, cols=3)
    for r, row in enumerate([["", "May", "June"], ["Oil", "12", "14"]]):
        for c, value in enumerate(row):
            cells.cell(r, c).text = value
    letter.add_paragraph("没有人点灯。")
    out = io.BytesIO()
    letter.save(out)
    add("letter.docx", "DOCX of python-docx: headings, lists, a table", out.getvalue(),
        "# The Keeper\n\nThe keeper climbed the stairs at dusk.\n\n- lamp oil\n- matches\n1. climb\n2. light\n\n## Costs\n\n"
        "\tMay\tJune\nOil\t12\t14\n\n没有人点灯。\n")
    add("notes.docx", "DOCX with a footnote, a tracked change, a text box", docx_by_hand(),
        "The stairs[1] have 212 steps.\n\nA box.\n\nLeft\tright\nbelow\n\n[1] Counted in 1912.\n")
    notes = odf.opendocument.OpenDocumentText()
    notes.text.addElement(odf.text.H(outlinelevel=1, text="The Keeper"))
    notes.text.addElement(odf.text.P(text="The keeper climbed the stairs at dusk."))
    items = odf.text.List()
    for word in ("lamp oil", "matches"):
        item = odf.text.ListItem()
        item.addElement(odf.text.P(text=word))
        items.addElement(item)
    notes.text.addElement(items)
    grid = odf.table.Table()
    for row in (["Oil", "12"], ["Matches", "3"]):
        line = odf.table.TableRow()
        for value in row:
            cell = odf.table.TableCell()
            cell.addElement(odf.text.P(text=value))
            line.addElement(cell)
        grid.addElement(line)
    notes.text.addElement(grid)
    out = io.BytesIO()
    notes.write(out)
    add("notes.odt", "ODT of odfpy", out.getvalue(),
        "# The Keeper\n\nThe keeper climbed the stairs at dusk.\n\n- lamp oil\n- matches\n\nOil\t12\nMatches\t3\n")


def pages():
    page = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>Lights &amp; Lamps</title><style>p { color: red }</style>
<script>if (1 < 2) document.write("<p>no</p>");</script></head>
<body><!-- a comment --><h2>Stairs</h2><p>The keeper   climbed
the <b>stairs</b> at dusk&hellip; 12&nbsp;&euro;.<p>He counted: <span>2</span>12.
<ul><li>oil<li>matches<ul><li>long</li></ul></li></ul><ol start="3"><li>climb</li><li><p>light</p></li></ol>
<table><tr><th>Month<th>Oil</tr><tr><td>May</td><td>12</td></tr></table>
<pre>a  b
  c</pre><div hidden>unseen</div>&lt;end&gt;</body></html>
"""
    add("page.html", "HTML", page.encode(),
        "# Lights & Lamps\n\n## Stairs\n\nThe keeper climbed the stairs at dusk… 12 €.\n\nHe counted: 212.\n\n- oil\n- matches\n"
        "  - long\n\n3. climb\n4. light\n\nMonth\tOil\nMay\t12\n\na  b\n  c\n\n<end>\n")
    chinese = '<html><head><meta http-equiv="Content-Type" content="text/html; charset=gb2312"></head><body><p>灯塔</p></body></html>'
    add("gb2312.htm", "HTML that declares gb2312", chinese.encode("gbk"), "灯塔\n",
        read_as("GB18030", ", as it declares"))
    layout = ("<html><body><table><tr><td>menu</td><td><table><tr><td>" + "The keeper climbed the stairs at dusk. " +
              "<br><br>Nobody had lit the lamp.</td></tr></table></td></tr></table></body></html>")
    add("layout.html", "HTML laid out with tables", layout.encode(),
        "menu\n\nThe keeper climbed the stairs at dusk.\n\nNobody had lit the lamp.\n")


def refused():
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 0, 0)).save(out, "PNG")
    add("picture.png", "an image", out.getvalue(), refusal="is a PNG image; run OCR over it first (tesseract, ocrmypdf)")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", ENGLISH)
    add("archive.zip", "an archive", out.getvalue(),
        refusal="is a ZIP archive; unpack it, and give its files or the folder")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("a.txt")
        member.size = len(ENGLISH.encode())
        archive.addfile(member, io.BytesIO(ENGLISH.encode()))
    add("archive.tar.gz", "an archive, compressed", gzip.compress(out.getvalue(), mtime=0),
        refusal="is a tar archive; unpack it, and give its files or the folder")
    add("program", "an executable", b"\x7fELF\x02\x01\x01" + bytes(57),
        refusal="is an executable program or library; a text was expected")
    add("letter.rtf", "RTF", b"{\\rtf1\\ansi The keeper.}",
        refusal="is an RTF document; save it as .docx or .txt first (libreoffice --convert-to docx)")
    add("letter.doc", "Word of before 2007", bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504),
        refusal="is an Office file of before 2007 (.doc, .xls, .ppt), or one with a password; "
                "save it as .docx or .pdf without a password first")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    add("sheet.xlsx", "a spreadsheet", out.getvalue(), refusal="is a spreadsheet; save its sheets as .csv first")
    add("notebook.ipynb", "a notebook", b'{\n "cells": [],\n "nbformat": 4\n}\n',
        refusal="is a Jupyter notebook; convert it to Markdown first (jupyter nbconvert --to markdown)")
    add("letter.eml", "a message, quoted-printable",
        b"From: a@b.c\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe\n",
        refusal="is an encoded message; save its text from a mail program first")
    add("plain.eml", "a message", b"From: a@b.c\nSubject: the lamp\n\nThe keeper.\n",
        text="From: a@b.c\nSubject: the lamp\n\nThe keeper.\n")
    add("numbers.dat", "bytes", b"abc\x00\x01\x02\x00" * 9, refusal="looks binary (NUL at byte 3); convert it to text first")


def main():
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for old in GOLDEN.iterdir():
        old.unlink()
    for make in (texts, compressed, pdfs, books, office, pages, refused):
        make()
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in table)
    (GOLDEN / "table.json").write_text("[\n" + lines + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Short lines that tell of a text and are none: when it was published, where it is filed, a player's time."""

from __future__ import annotations

import re

# Labels before a colon, in eight languages; what follows them in the line is their value.
_LABELS = """
published|published on|updated|last updated|last modified|posted|posted on|posted in|filed under|tagged|tags
categories
yayınlanma|yayınlanma tarihi|yayın tarihi|yayınlandı|güncelleme|güncellenme|güncelleme tarihi
son güncelleme|son güncelleme tarihi|oluşturulma tarihi|eklenme tarihi|giriş tarihi|haber tarihi|etiketler
kategori|kategoriler|okunma|okunma sayısı
veröffentlicht|veröffentlicht am|aktualisiert|zuletzt aktualisiert|schlagworte|schlagwörter|kategorien
publié|publié le|mis à jour|mis à jour le|dernière mise à jour|catégories|mots-clés|étiquettes
publicado|publicado el|actualizado|última actualización|archivado en|etiquetas|categorías
опубликовано|обновлено|дата публикации|теги|метки|рубрика|рубрики
نشر في|تاريخ النشر|آخر تحديث|الوسوم|الكلمات الدلالية
تاریخ انتشار|آخرین به‌روزرسانی|برچسب‌ها|کلیدواژه‌ها
"""
_PLAYER = "current time|duration|remaining time|loaded|progress|stream type|playback rate|live"
_FOLD = str.maketrans({"I": "ı", "İ": "i"})
_STAMP = re.compile(
    rf"(?:{'|'.join(re.escape(label) for label in _LABELS.strip().replace(chr(10), '|').split('|'))})\s?:"
    rf"|(?:(?:{_PLAYER})[\d:.%x/\s-]*)+\Z"
)
LONGEST = 12  # words


def is_stamp(line: str) -> bool:
    """Return whether a line of at most LONGEST words is a label with its value.

    >>> is_stamp("Son Güncelleme: 12.05.2020 10:45"), is_stamp("Current Time 0:00 / Duration 3:12")
    (True, True)
    >>> is_stamp("Güncelleme bugün yayınlandı.")
    False
    """
    return ":" in line and any(
        _STAMP.match(spelling) for spelling in {line.lower(), line.translate(_FOLD).lower()}
    )

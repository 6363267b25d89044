"""Configuration of what is read.

`inputs` is a list of files, folders (every document file below them), glob patterns, hf: names, and package:sample, the
text that comes with Taixue; see __init__.py for the formats. Paths are relative to the working folder.
"""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator

from taixue.base import UserError
from taixue.base.section import Section

from .encoding import fault_of
from .records import ReadOptions, field

Inputs = Annotated[
    tuple[str, ...],
    Field(
        min_length=1,
        description="files, folders or glob patterns, relative to the working folder; package:sample: that of Taixue",
    ),
]


class ReadConfig(Section):
    """How the files of one source are read."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="becomes part of the shards' names"
    )
    inputs: Inputs
    text_field: str = Field(
        "text", description="field that holds the document; or a path a.b, or a template {title}\\n{body}"
    )
    encoding: str = Field(
        "auto",
        description="a codec; auto: UTF-8, UTF-16, GB18030, Big5 or Windows-1252, as each file shows",
    )
    damaged: Literal["stop", "skip"] = Field(
        "stop", description="what a file does that is cut off or damaged"
    )
    max_document_mb: PositiveInt = Field(32, description="longer lines go into quarantine")
    main_text: bool = Field(
        True,
        description="of HTML pages in web archives (extra [web]) only the main text; false: menus and all",
    )

    @field_validator("text_field")
    @classmethod
    def _can_be_read(cls, text_field: str) -> str:
        try:
            field(text_field)
        except UserError as error:
            raise ValueError(str(error)) from None
        return text_field

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str) -> str:
        if fault := fault_of(encoding):
            raise ValueError(fault)
        return encoding

    @property
    def read_options(self) -> ReadOptions:
        return ReadOptions(
            self.text_field, self.encoding, self.damaged, self.max_document_mb << 20, self.main_text
        )

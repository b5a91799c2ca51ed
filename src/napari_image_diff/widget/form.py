"""The form of the settings, made from `Settings`: a parameter added there appears here by itself."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import create_widget
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QWidget

from ..settings import Settings, describe_fields

__all__ = ["SettingsForm"]

# `threshold` and `min_area` have live controls of their own; a layer knows by itself whether it is colour.
ELSEWHERE = ("threshold", "min_area", "channels")

# The keys of a field's metadata that magicgui knows too
OPTIONS = ("min", "max", "step")


class SettingsForm(QWidget):
    """A magicgui widget for each setting that has no control of its own.

    They stand in a form of Qt's: magicgui's own container measures its labels in another font than napari's.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.fields: dict[str, Any] = {}
        for name, (kind, metadata) in describe_fields().items():
            if name not in ELSEWHERE:
                field = self.fields[name] = _field(name, kind, metadata)
                layout.addRow("" if kind is bool else metadata["label"], field.native)
                field.changed.connect(self._tell)
        self._tell()

    @property
    def values(self) -> dict[str, Any]:
        """The settings as they stand in the form."""
        return {name: field.value for name, field in self.fields.items()}

    def show_settings(self, settings: Settings) -> None:
        """Show the values of `settings`."""
        for name, field in self.fields.items():
            field.value = getattr(settings, name)

    def _tell(self) -> None:
        gaussian = self.fields["window"].value == "gaussian"
        self.fields["win_size"].enabled, self.fields["sigma"].enabled = not gaussian, gaussian
        self.changed.emit()


def _field(name: str, kind: Any, metadata: dict[str, Any]) -> Any:
    """Return the widget of a setting, at its default."""
    unit = f" In {metadata['unit']}." if "unit" in metadata else ""
    options = {key: metadata[key] for key in OPTIONS if key in metadata}
    field = create_widget(
        getattr(Settings(), name),
        annotation=kind,
        name=name,
        label=metadata["label"],
        options={**options, "tooltip": metadata["help"] + unit},
    )
    if "zero" in metadata:
        field.native.setSpecialValueText(metadata["zero"])
    return field

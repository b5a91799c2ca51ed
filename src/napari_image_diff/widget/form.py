"""The form of the settings, made from `Settings`: a parameter added there appears here by itself."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import create_widget
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QWidget

from ..settings import Settings, describe_fields

__all__ = ["PresetPicker", "SettingsForm"]

PRESETS = {"Detect": Settings(), "Classic": Settings.classic(), "Wang 2004": Settings.wang2004()}

# These have live controls of their own; a layer knows by itself whether it is colour.
ELSEWHERE = ("threshold", "sensitivity", "min_area", "channels")

# Made here, and shown above with what is often needed
IN_SIGHT = ("align",)

# The keys of a field's metadata that magicgui knows too
OPTIONS = ("min", "max", "step")


class PresetPicker(QComboBox):
    """A list of whole sets of settings; it reads "Custom" where the settings are none of them."""

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.addItems([*PRESETS])
        self.setPlaceholderText("Custom")
        self.setToolTip(
            "All settings at once. Detect finds what noise and edges do not explain. Classic is SSIM, Otsu's threshold "
            "and contours, as in the well-known recipes; Wang 2004 is that with the Gaussian window."
        )
        self.activated.connect(lambda index: self.chosen.emit(PRESETS[self.itemText(index)]))

    def show_settings(self, settings: Settings | None) -> None:
        """Show which of the sets these are, if any."""
        names = [name for name, preset in PRESETS.items() if preset == settings]
        self.setCurrentIndex(self.findText(names[0]) if names else -1)


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
                field.changed.connect(self._tell)
                if name not in IN_SIGHT:
                    layout.addRow("" if kind is bool else metadata["label"], field.native)
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
    unit = f" Unit: {metadata['unit']}." if "unit" in metadata else ""
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

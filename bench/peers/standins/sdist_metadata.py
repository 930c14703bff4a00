"""A stand-in build system that knows only what a source package says of itself in its PKG-INFO."""
import os
import shutil


def prepare_metadata_for_build_wheel(directory, config_settings=None):
  with open("PKG-INFO", encoding="utf-8") as f:
    fields = dict(line.rstrip("\n").split(": ", 1) for line in f if line.startswith(("Name: ", "Version: ")))
  folder = f"{fields['Name'].replace('-', '_')}-{fields['Version']}.dist-info"
  os.mkdir(os.path.join(directory, folder))
  shutil.copy("PKG-INFO", os.path.join(directory, folder, "METADATA"))
  return folder

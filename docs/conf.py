"""How the documentation becomes a site: `scripts/docs` builds it, to be read from a file system, without a network."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROFILE = ROOT / "docs/out/ipython/profile_default"  # of the kernels that run the lessons: nothing goes into a user's home

sys.path.insert(0, str(ROOT / "docs"))
PROFILE.mkdir(parents=True, exist_ok=True)
(PROFILE / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 'ERROR'\n", encoding="utf-8")
os.environ |= {
    "IPYTHONDIR": str(PROFILE.parent),
    "PYTHONPATH": str(ROOT),
    "TINYREG_CACHE": "",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}

project = "tinyreg"
root_doc = "docs/index"
include_patterns = ["docs/**.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/*.md", "demos/*/README.md"]
exclude_patterns = ["docs/out"]
extensions = [
    "myst_nb",
    "sphinx_copybutton",
    "building.mathematics",
    "building.blocks",
    "building.links",
    "building.reference",
    "building.techniques",
]
pygments_style, pygments_dark_style = "friendly", "monokai"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 120
nb_merge_streams = True

html_title = "tinyreg"
html_theme = "furo"
html_static_path = ["building/static"]
html_css_files = ["site.css"]
html_show_search_summary = False  # it would be fetched, and a browser fetches nothing from a file system
html_show_copyright = False
html_copy_source = False
copybutton_exclude = ".linenos, .gp, .go"

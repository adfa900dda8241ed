#!/usr/bin/env bash
# In a requirements file pip reads the first include of a line, and nothing else that stands on that line.
#
# Seen with: pip 26.3, uv 0.13.9.
# Expected:  `-r a.txt -r b.txt` reads both files, as on the command line, or is an error.
# Behaviour: pip reads a.txt and drops `-r b.txt`, and so `--pre` behind an include, without a word. uv refuses the line.
# Matters:   a file that "works" installs less than it says, and a reader that takes both files installs more than pip.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pip==26.3 uv==0.13.9
echo 'six==1.17.0' > a.txt
echo 'iniconfig==2.1.0' > b.txt
echo '-r a.txt -r b.txt' > two.txt
printf -- '-r a.txt\n-r b.txt\n' > lines.txt
by_pip() {
  venv/bin/pip install --isolated --quiet --disable-pip-version-check --dry-run --ignore-installed --report report.json -r "$1"
  python3 -c "import json; print(*sorted(found['metadata']['name'] for found in json.load(open('report.json'))['install']))"
}
one_line=$(by_pip two.txt)
two_lines=$(by_pip lines.txt)
if venv/bin/uv pip compile --quiet --no-cache --no-header --no-annotate two.txt > log 2>&1; then uv=taken; else uv=refused; fi
echo "pip, one line: $one_line | pip, two lines: $two_lines | uv, one line: $uv"
[ "$one_line" = six ] && [ "$two_lines" = 'iniconfig six' ] && [ "$uv" = refused ]

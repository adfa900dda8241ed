#!/usr/bin/env bash
# In packaging 26, `contains` takes a pre-release that `filter` of the same specifier leaves out.
#
# Seen with: packaging 25.0 and 26.3.
# Expected:  `SpecifierSet(">=1.0").contains("2.0rc1")` is False, as PEP 440 keeps pre-releases out unless they are asked for.
# Behaviour: False in 25.0 and True in 26.3, where the rule looks at all candidates, and a single one is all that there
#            are. `filter(["1.5", "2.0rc1"])` keeps 1.5 alone in both.
# Matters:   code that ran with both and asks `contains` without `prereleases=` changed its mind with an upgrade.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
seen=$(for version in 25.0 26.3; do
  venv/bin/pip install --quiet --disable-pip-version-check "packaging==$version"
  venv/bin/python -c 'from importlib.metadata import version
from packaging.specifiers import SpecifierSet
wanted = SpecifierSet(">=1.0")
print(version("packaging"), wanted.contains("2.0rc1"), list(wanted.filter(["1.5", "2.0rc1"])))'
done)
echo "$seen"
[ "$seen" = "25.0 False ['1.5']
26.3 True ['1.5']" ]

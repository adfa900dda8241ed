#!/usr/bin/env bash
# devpi-server can list an uploaded file for ever whose bytes it does not find any more, after one kill at the wrong moment.
#
# Seen with: devpi-server 6.20.3, CPython 3.11.
# Expected:  a database that commits before it renames files finishes at its next start whatever renames were open.
# Behaviour: an upload is committed to SQLite first and its file renamed from NAME-DIGEST-tmp afterwards. At start devpi
#            finishes the renames of the last serial alone. Where anything else was committed in between, the page goes
#            on to list the file, its address answers 404 at every later start, and the bytes lie beside it as *-tmp.
# Matters:   who publishes and reads back after such a kill sees a file that is there and is not; uploading the same
#            bytes again answers 200 and mends nothing.
# Here the moment is held open by waiting between commit and rename; without that, it is some milliseconds.
set -euo pipefail
folder=$(mktemp -d)
server=
trap 'test -z "$server" || kill -9 "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check devpi-server==6.20.3 requests==2.32.5
cat > server.py <<'PY'
import os, sys, time
from devpi_server import filestore_fs_base
from devpi_server.main import main
commit = filestore_fs_base.FSIOFileBase._commit
def waiting(self, *arguments):
    if self._dirty_files and os.environ.get("WAIT"):
        open("committed", "w").close()
        time.sleep(60)
    return commit(self, *arguments)
filestore_fs_base.FSIOFileBase._commit = waiting
sys.exit(main(sys.argv))
PY
cat > client.py <<'PY'
import base64, hashlib, os, sys, threading, time
import requests
root, what = sys.argv[1:]
session = requests.Session()
session.trust_env = False
session.headers["Accept"] = "application/json"
for _ in range(300):
    try:
        token = session.post(f"{root}/+login", json={"user": "root", "password": "throw-away"}).json()["result"]["password"]
        break
    except requests.ConnectionError:
        time.sleep(0.1)
session.headers["X-Devpi-Auth"] = base64.b64encode(f"root:{token}".encode()).decode()
content = b"Any bytes will do."
def upload():
    data = {":action": "file_upload", "name": "kept", "version": "1.0"}
    try:
        return session.post(f"{root}/root/dev/", data=data, files={"content": ("kept-1.0.tar.gz", content)}).status_code
    except requests.ConnectionError:
        return "cut"
if what == "interrupt":
    session.put(f"{root}/root/dev", json={"type": "stage", "bases": [], "volatile": False})
    threading.Thread(target=upload, daemon=True).start()
    while not os.path.exists("committed"):
        time.sleep(0.05)
    session.put(f"{root}/root/other", json={"type": "stage", "bases": []}).raise_for_status()
    os._exit(0)
page = session.get(f"{root}/root/dev/+simple/kept/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
file = f"{root}/root/dev/+f/{hashlib.sha256(content).hexdigest()[:3]}/{hashlib.sha256(content).hexdigest()[3:16]}/kept-1.0.tar.gz"
def download():
    return session.get(file, headers={"Accept": "*/*"}).status_code
print("listed" if "kept-1.0.tar.gz" in page.text else "not listed", download(), "upload again", upload(), download())
PY
venv/bin/devpi-init --serverdir data --root-passwd throw-away --no-root-pypi > log 2>&1
venv/bin/devpi-gen-secret --secretfile secret > log 2>&1
port=$(python3 -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")
start() {
  env "$@" venv/bin/python server.py --serverdir data --secretfile secret --port "$port" \
    --argon2-memory-cost 8 --argon2-time-cost 1 --argon2-parallelism 1 > log 2>&1 &
  server=$!
  disown "$server" # its end is meant
}
stop() { kill -9 "$server"; while kill -0 "$server" 2>/dev/null; do sleep 0.1; done; }
start WAIT=1
venv/bin/python client.py "http://127.0.0.1:$port" interrupt
stop
start A=b
first=$(venv/bin/python client.py "http://127.0.0.1:$port" look)
stop
start A=b
second=$(venv/bin/python client.py "http://127.0.0.1:$port" look)
left=$(find data -name 'kept-1.0.tar.gz-*-tmp' | wc -l)
echo "first start: $first | second start: $second | files left as *-tmp: $left"
[ "$first" = 'listed 404 upload again 200 404' ] && [ "$second" = "$first" ] && [ "$left" = 1 ]

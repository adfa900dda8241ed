#!/usr/bin/env bash
# A devpi mirror takes away what PEP 700 added to simple pages, and two installers answer that in two ways.
#
# Seen with: devpi-server 6.20.3, pip 26.3, uv 0.13.9.
# Expected:  a mirror that serves PEP 691 JSON hands on `upload-time` and `size` of the pages that it mirrors.
# Behaviour: the page has neither, and says api-version 1.0. `pip --uploaded-prior-to` ends with an error that names the
#            index; uv's `--exclude-newer` treats every file as too new, and says that there are no versions.
# Matters:   who has a cool-down in pip.conf or uv.toml can install nothing through devpi.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check devpi-server==6.20.3 pip==26.3 uv==0.13.9
cat > upstream.py <<'PY'
import hashlib, http.server, io, json, zipfile
wheel = io.BytesIO()
with zipfile.ZipFile(wheel, "w") as archive:
    info = "timed-1.0.dist-info"
    archive.writestr("timed.py", "")
    archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: timed\nVersion: 1.0\n")
    archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    archive.writestr(f"{info}/RECORD", f"timed.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
content, name = wheel.getvalue(), "timed-1.0-py3-none-any.whl"
file = {"filename": name, "url": f"/files/{name}", "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
        "upload-time": "2020-01-02T03:04:05Z", "size": len(content)}
page = {"meta": {"api-version": "1.1"}, "name": "timed", "versions": ["1.0"], "files": [file]}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = {"/simple/": json.dumps({"meta": page["meta"], "projects": [{"name": "timed"}]}).encode(),
                 "/simple/timed/": json.dumps(page).encode(), file["url"]: content}.get(self.path)
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json" if found != content else "application/zip")
        self.send_header("Content-Length", str(len(found or b"")))
        self.end_headers()
        self.wfile.write(found or b"")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
python3 upstream.py > upstream.port 2> upstream.log &
until port=$(grep . upstream.port); do sleep 0.1; done
venv/bin/devpi-init --serverdir data --root-passwd throw-away --no-root-pypi > init.log 2>&1
devpi_port=$(python3 -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")
venv/bin/devpi-gen-secret --secretfile secret > init.log 2>&1
venv/bin/devpi-server --serverdir data --secretfile secret --port "$devpi_port" \
  --argon2-memory-cost 8 --argon2-time-cost 1 --argon2-parallelism 1 > devpi.log 2>&1 &
root="http://127.0.0.1:$devpi_port"
python3 - "$root" "http://127.0.0.1:$port/simple/" <<'PY'
import base64, json, sys, time, urllib.request
root, upstream = sys.argv[1:]
def send(method, path, value, headers={}):
    headers = {"Content-Type": "application/json", "Accept": "application/json", **headers}
    request = urllib.request.Request(root + path, json.dumps(value).encode(), headers, method=method)
    return json.load(urllib.request.urlopen(request))
for _ in range(300):
    try:
        token = send("POST", "/+login", {"user": "root", "password": "throw-away"})["result"]["password"]
        break
    except OSError:
        time.sleep(0.1)
login = base64.b64encode(f"root:{token}".encode()).decode()
send("PUT", "/root/up", {"type": "mirror", "mirror_url": upstream}, {"X-Devpi-Auth": login})
PY
page=$(curl --silent --fail --noproxy '*' -H 'Accept: application/vnd.pypi.simple.v1+json' "$root/root/up/+simple/timed/")
fields=$(echo "$page" | python3 -c "import json, sys; page = json.load(sys.stdin)
print(page['meta']['api-version'], *(key for key in ('upload-time', 'size') if key in page['files'][0]))")
index="--index-url $root/root/up/+simple/"
# shellcheck disable=SC2086 # two words
pip_says=$(venv/bin/pip download --isolated --no-deps --quiet --disable-pip-version-check $index --uploaded-prior-to 2030-01-01 \
  --dest out timed 2>&1 | grep -o 'does not provide upload-time metadata' | head -n 1 || true)
# shellcheck disable=SC2086 # two words
uv_says=$(echo timed | venv/bin/uv pip compile --no-cache $index --exclude-newer 2030-01-01 --python venv/bin/python - 2>&1 \
  | tr -s ' \n' ' ' | grep -o 'there are no versions of timed' || true)
echo "page: $fields | pip: $pip_says | uv: $uv_says"
[ "$fields" = 1.0 ] && [ "$pip_says" = 'does not provide upload-time metadata' ] \
  && [ "$uv_says" = 'there are no versions of timed' ]

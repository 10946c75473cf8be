#!/bin/sh
# Make the virtual environment $1 from requirements.lock. Needs a Python 3.11+ and nothing else.
set -eu
venv=$1

say() { printf '%s\n' "$@" >&2; }
may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 python}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    say "Python 3.11 or newer is needed, and none of these is one: ${PYTHON:-python3, python3.11 … 3.14}." \
        "Install it (Debian, Ubuntu: sudo apt-get install python3 python3-venv; macOS: brew install python)," \
        "or name it: make PYTHON=/path/to/python3"
    return 1
}

python=$(find_python)
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if may_install; then
        apt-get update -q && apt-get install -qy --no-install-recommends "$package"
    else
        say "$python cannot make virtual environments. Install the missing part:" \
            "    sudo apt-get install $package"
        exit 1
    fi
fi

"$venv/bin/python" -c '' 2>/dev/null || "$python" -m venv --clear "$venv"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
say "Installing the locked packages into $venv …"
"$venv/bin/python" -m pip install -q --require-hashes -r requirements.lock
"$venv/bin/python" -m pip install -q --no-deps --no-build-isolation -e .

# JupyterLab asks nobody for news or newer versions, and does not ask whether it should.
settings="$venv/share/jupyter/lab/settings"
mkdir -p "$settings"
echo '{"@jupyterlab/apputils-extension:notification": {"checkForUpdates": false, "fetchNews": "false"}}' \
    > "$settings/overrides.json"

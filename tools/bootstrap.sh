#!/usr/bin/env bash
# Make .venv with everything that `make run` and `make test` need. Does only what is missing, so it is cheap to repeat.
#
#   tools/bootstrap.sh              for a machine with a display; without one the same as:
#   tools/bootstrap.sh --headless   also wants Xvfb, a screen in memory
#   tools/bootstrap.sh --browser    on Debian also wants Chromium and its driver, for the tests that open reports
#
# Missing system libraries come by apt on Debian and Ubuntu, as root or by sudo; elsewhere they are named.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }
stop() { say "$@"; exit 1; }

# What Qt and OpenGL load and no wheel brings: library, then its Debian package.
libraries="
libGL.so.1 libgl1
libEGL.so.1 libegl1
libdbus-1.so.3 libdbus-1-3
libfontconfig.so.1 libfontconfig1
libglib-2.0.so.0 libglib2.0-0
libX11-xcb.so.1 libx11-xcb1
libxkbcommon-x11.so.0 libxkbcommon-x11-0
libxcb-cursor.so.0 libxcb-cursor0
libxcb-icccm.so.4 libxcb-icccm4
libxcb-image.so.0 libxcb-image0
libxcb-keysyms.so.1 libxcb-keysyms1
libxcb-randr.so.0 libxcb-randr0
libxcb-render-util.so.0 libxcb-render-util0
libxcb-shape.so.0 libxcb-shape0
libxcb-xkb.so.1 libxcb-xkb1
"

has_command() { command -v "$1" >/dev/null 2>&1; }

find_python() {
    local name
    for name in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python; do
        if has_command "$name" && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    stop "Python 3.11 or later is needed and was not found. Install it, or name it: make PYTHON=/path/to/python3"
}

# Print "what is missing, then its Debian package", a line each.
missing() {
    local ldconfig known library package
    ldconfig=$(PATH="$PATH:/sbin:/usr/sbin" command -v ldconfig || true)
    if [ "$(uname -s)" = Linux ] && [ -n "$ldconfig" ]; then
        known=$("$ldconfig" -p 2>/dev/null || true)
        while read -r library package; do
            [ -z "$library" ] || grep -qF "$library " <<<"$known" || echo "$library $package"
        done <<<"$libraries"
    fi
    if [ "$headless" = yes ]; then
        has_command Xvfb || echo "Xvfb xvfb"
        has_command xvfb-run || echo "xvfb-run xvfb"
        has_command xauth || echo "xauth xauth"
    fi
    # elsewhere it has other names or is a snap, and without it these tests are skipped
    if [ "$browser" = yes ] && grep -qx 'ID=debian' /etc/os-release 2>/dev/null; then
        has_command chromium || echo "chromium chromium"
        has_command chromedriver || echo "chromedriver chromium-driver"
    fi
    if [ ! -e .venv/bin/python ] && ! "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -c 'import sys; print("ensurepip", "python{}.{}-venv".format(*sys.version_info))'
    fi
}

apt_install() {
    local root=""
    if [ "$(id -u)" != 0 ]; then
        has_command sudo || stop "These system packages are missing; install them as root: apt-get install $*"
        root="sudo"
    fi
    say "Installing system packages: $*"
    $root apt-get update -qq
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

headless=no
browser=no
if [ "$(uname -s)" = Linux ]; then
    [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || headless=yes
    for flag; do
        case $flag in
            --headless) headless=yes ;;
            --browser) browser=yes ;;
            *) stop "There is no $flag; give --headless or --browser, or nothing" ;;
        esac
    done
fi
if [ -e .venv/bin/python ]; then python=.venv/bin/python; else python=$(find_python); fi

lacking=$(missing)
if [ -n "$lacking" ]; then
    if has_command apt-get; then
        # shellcheck disable=SC2046  # package names are words
        apt_install $(awk '{print $2}' <<<"$lacking" | sort -u)
    else
        stop "Missing on this system (in brackets the name of the Debian package that has it):" \
            "$(awk '{printf " %s (%s)", $1, $2}' <<<"$lacking"). Install them and try again."
    fi
fi

installed=.venv/.installed
if [ ! -e "$installed" ] || [ pyproject.toml -nt "$installed" ]; then
    say "Installing into .venv (some minutes the first time)"
    [ -e .venv/bin/python ] || "$python" -m venv .venv
    # dependency groups need pip 25.1
    .venv/bin/python -m pip install --quiet --upgrade "pip>=25.1"
    .venv/bin/python -m pip install --quiet --editable ".[all]" --group dev
    touch "$installed"
fi

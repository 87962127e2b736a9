# shellcheck shell=bash
# Debian packages and the broker's jars: only what is missing.

# The packages whose programs are not there, one a line.
missing_packages() {
    command -v python3 >/dev/null || echo python3
    command -v mariadbd >/dev/null || [ -x /usr/sbin/mariadbd ] || echo mariadb-server
    command -v redis-server >/dev/null || echo redis-server
    command -v etcd >/dev/null || echo etcd-server
    command -v java >/dev/null || echo default-jre-headless
    have_jars || command -v mvn >/dev/null || echo maven
}

# Debian starts what it installs; these servers are ours to start, on our data. A policy script that
# says no is there during the installation only, unless the machine has one of its own.
install_packages() {
    local sudo='' policy=/usr/sbin/policy-rc.d ours='' status=0 unit
    command -v apt-get >/dev/null || die "missing: $*. Without apt-get, please install them by hand."
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "missing: $*. Installing them needs root or sudo."
        sudo=sudo
    fi
    say "installing $*"
    if [ ! -e $policy ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
        $sudo chmod 755 $policy
    fi
    {
        $sudo apt-get update -qq &&
            $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@"
    } >"$LOG/packages.log" 2>&1 || status=$?
    [ -z "$ours" ] || $sudo rm -f $policy
    if ((status)); then
        show_log packages
        die "apt-get could not install $*"
    fi
    command -v systemctl >/dev/null || return 0
    for unit in "$@"; do
        case $unit in
            mariadb-server) $sudo systemctl disable -q mariadb ;;
            redis-server) $sudo systemctl disable -q redis-server ;;
            etcd-server) $sudo systemctl disable -q etcd ;;
        esac
    done 2>/dev/null || true
}

# The folder of jars is named after the list they come from: a changed version is fetched anew.
jar_dir() { echo "$JARS/$(sha256sum "$INFRA_HOME/pom.xml" | cut -c1-12)"; }
have_jars() { [ -d "$(jar_dir)" ]; }

fetch_jars() {
    local target fresh
    target=$(jar_dir)
    fresh=$target.new.$$
    say "kafka: fetching the broker's jars from Maven Central"
    mkdir -p "$JARS"
    if ! mvn -q -B -f "$INFRA_HOME/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
        -DoutputDirectory="$fresh" >"$LOG/jars.log" 2>&1; then
        rm -rf "$fresh"
        show_log jars
        die "Maven could not fetch the jars of Apache Kafka"
    fi
    mv "$fresh" "$target"
}

ensure_installed() {
    local missing
    exec 8>"$RUN/install.lock"
    flock 8
    mapfile -t missing < <(missing_packages)
    ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
    have_jars || fetch_jars
    exec 8>&-
}

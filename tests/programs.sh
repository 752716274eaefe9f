#!/bin/sh
# The programs that tests stand beside: a browser, and real servers in front of ours.  What is there, else Debian's when we may
# install it, else one line that says what is left out.
missing=""
for names in chromium:chromium-browser:google-chrome nginx haproxy curl; do
    found=""
    for name in $(echo "$names" | tr : ' '); do
        { command -v "$name" || command -v "/usr/sbin/$name"; } >/dev/null && found=yes
    done
    [ "$found" ] || missing="$missing ${names%%:*}"
done
[ "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing for the tests:$missing"
    # Of nginx and HAProxy only the programs are wanted: no service is started.
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d 2>/dev/null && chmod +x /usr/sbin/policy-rc.d && ours=yes
    { apt-get update && apt-get install -y --no-install-recommends $missing; } >/dev/null 2>&1 && done=yes
    [ "$ours" ] && rm -f /usr/sbin/policy-rc.d
    [ "$done" ] && exit 0
fi
for name in $missing; do
    echo "No $name found and none could be installed: its tests are left out"
done

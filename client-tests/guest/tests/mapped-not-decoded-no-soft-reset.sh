# The same for a function that keeps its state in D3hot, which decodes its BARs again as soon as it is back.
# violations: decode-off
# mapped: yes
# serve: --set capabilities.pm.no-soft-reset=true

soft_reset=no
. /test/mapped-not-decoded.sh

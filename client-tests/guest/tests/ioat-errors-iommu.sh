# The same through the guest's IOMMU, whose maps are what there is of memory. Of a range of addresses that the guest maps page by page and
# QEMU unmaps as one, nothing is left: neither the engine's copies nor other pages at the same addresses ever see the old ones.
# drivers: yes
# profile: ioat
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on iommu.strict=1

. /test/ioat-errors.sh

load ioatdma
dmesg -c >/dev/null
# The channel's ring of 4 MiB comes and goes with the range, as pieces that are smaller than a page table of the guest's.
for round in first second; do
    maps=$(served dma_maps)
    load dma_errors range=1
    maps=$(($(served dma_maps) - maps)) requests=$(served requests)
    rmmod dma_errors
    requests=$(($(served requests) - requests))
    check "$round range: a map for each page of it and of the ring" [ $maps -ge $((512 + 1024)) ]
    check "$round range: fewer requests unmap the pages" [ $requests -lt $maps ]
done
is "both ranges: each page is right" 2 "$(dmesg | grep -c 'dma_errors: range at .*: 512 pages right')"
is "both ranges: at the same addresses" 1 "$(dmesg | grep -o 'dma_errors: range at [^:]*' | sort -u | wc -l)"
is "both ranges: unmapped, no page can be read" 8 "$(dmesg | grep -c 'dma_errors: page .*, unmapped: read failed')"
is "both ranges: good copies in between" 8 "$(dmesg | grep -c 'dma_errors: a good copy: done, right')"

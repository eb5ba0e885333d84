# The kernel's own tests of VFIO, with a driver of theirs for the copy engine. Each maps a gigabyte where the one before it has unmapped another:
# a copy that still reached the old one would be found.
# drivers: yes
# profile: ioat
# ram: 2G
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# limit: 600

# selftest COUNT PROGRAM OPTION...: all its tests pass, and there are that many.
selftest() {
    count=$1 program=$2
    shift
    "$@" "$BDF" >/tmp/selftest 2>&1 5>&-
    is "$program: its status" 0 $?
    is "$program: how many tests it has" "1..$count" "$(grep '^1\.\.' /tmp/selftest)"
    while read -r first rest <&6; do
        case $first\ $rest in
        "ok "*"# SKIP"*) fail "$program: ${rest#* }" "skipped" ;;
        "ok "*) ok "$program: ${rest#* }" ;;
        "not ok "*) fail "$program: ${rest#ok * }" "$(grep -B 20 "^not ok ${rest#ok }" /tmp/selftest)" ;;
        esac
    done 6</tmp/selftest
}

bind_vfio
# Page by page, a gigabyte takes longer to map than the tests wait.
echo always >/sys/kernel/mm/transparent_hugepage/shmem_enabled
selftest 5 vfio_pci_device_test
selftest 8 vfio_dma_mapping_test -v vfio_type1_iommu -v vfio_type1v2_iommu \
    -v vfio_type1_iommu_anonymous -v vfio_type1v2_iommu_anonymous
selftest 14 vfio_pci_driver_test -v vfio_type1_iommu -v vfio_type1v2_iommu

# Copies from and to where no memory is: the driver is told, tells its user which side it was, recovers, and the next copy is right.
# drivers: yes
# profile: ioat

load dca
for style in msix intx; do
    load ioatdma ioat_interrupt_style=$style
    dmesg -c >/dev/null
    load dma_errors
    is "$style: a source that is nowhere" 3 "$(dmesg | grep -c 'dma_errors: source nowhere: read failed')"
    is "$style: a destination that is nowhere" 3 "$(dmesg | grep -c 'dma_errors: destination nowhere: write failed')"
    is "$style: good copies in between" 6 "$(dmesg | grep -c 'dma_errors: a good copy: done, right')"
    rmmod dma_errors
    rmmod ioatdma
done

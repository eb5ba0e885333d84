# ioatdma finds the copy engine good, and dmatest copies 10 000 times on two threads with every kind of interrupt: not a byte is wrong.
# drivers: yes
# profile: ioat
# limit: 400

COPIES=10000 THREADS=2

# said PATTERN: how many lines of the kernel's log match.
said() { dmesg | grep -cE "$1"; }

# parameter NAME VALUE: of dmatest.
parameter() { echo "$2" >"/sys/module/dmatest/parameters/$1"; }

# interrupts: which kind the function has in use.
interrupts() {
    kind=$(cat "$DEV"/msi_irqs/* 2>/dev/null | sort -u)
    echo "${kind:-intx}"
}

# copies WHAT COPIES THREADS: dmatest does that many copies, all channels together, with so many threads on each.
copies() {
    load dmatest
    threads=$(($3 * $(ls /sys/class/dma | wc -l)))
    each=$(($2 / threads))
    parameter iterations $each
    parameter threads_per_chan "$3"
    parameter timeout 10000
    parameter channel ""
    before=$(said "summary $each tests, 0 failures")
    parameter run 1
    cat /sys/module/dmatest/parameters/wait >/dev/null
    is "$1: $2 copies on $threads threads, not a byte is wrong" $threads $(($(said "summary $each tests, 0 failures") - before))
    rmmod dmatest
}

load dca
for style in msix msi intx; do
    load ioatdma ioat_interrupt_style=$style
    is "$style: the driver found the engine good" ioatdma "$(driver)"
    is "$style: its interrupts" $style "$(interrupts)"
    copies $style $COPIES $THREADS
    rmmod ioatdma
done
is "no channel was in trouble" 0 "$(said 'ioatdma.*(error|halted|timed out|CHANERR)')"

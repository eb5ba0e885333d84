// SPDX-License-Identifier: MIT OR Apache-2.0
// Asks a DMA channel for copies that cannot succeed, and for good ones in between; tells the kernel's log what the driver made of each.
// With range=1 it does so with a range of addresses behind an IOMMU, before and after that is unmapped.

#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/dmaengine.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/scatterlist.h>

#define SIZE 4096
// Of a range: as many as a page table has, which goes when the range does.
#define PAGES 512
// Far beyond all memory.
#define NOWHERE ((dma_addr_t)1 << 45)

static bool range;
module_param(range, bool, 0);
MODULE_PARM_DESC(range, "map a range of pages, and unmap it when the module goes");

static struct dma_chan *channel;
// Two pages, and where the device sees them.
static u8 *memory;
static dma_addr_t from, to;
// The range.
static struct page *pages[PAGES];
static struct sg_table table;
static dma_addr_t start;

struct outcome {
	struct completion over;
	enum dmaengine_tx_result result;
};

static void over(void *parameter, const struct dmaengine_result *result)
{
	struct outcome *outcome = parameter;

	outcome->result = result->result;
	complete(&outcome->over);
}

static const char *copy(dma_addr_t to, dma_addr_t from)
{
	static struct outcome outcome;
	struct dma_async_tx_descriptor *transfer;

	init_completion(&outcome.over);
	transfer = dmaengine_prep_dma_memcpy(channel, to, from, SIZE, DMA_PREP_INTERRUPT | DMA_CTRL_ACK);
	if (!transfer)
		return "refused";
	transfer->callback_result = over;
	transfer->callback_param = &outcome;
	dmaengine_submit(transfer);
	dma_async_issue_pending(channel);
	if (!wait_for_completion_timeout(&outcome.over, 5 * HZ))
		return "never over";
	switch (outcome.result) {
	case DMA_TRANS_NOERROR:
		return "done";
	case DMA_TRANS_READ_FAILED:
		return "read failed";
	case DMA_TRANS_WRITE_FAILED:
		return "write failed";
	default:
		return "aborted";
	}
}

static void good_copy(int pattern)
{
	const char *outcome;

	memset(memory, pattern, SIZE);
	memset(memory + SIZE, 0, SIZE);
	outcome = copy(to, from);
	pr_info("dma_errors: a good copy: %s, %s\n", outcome, memcmp(memory, memory + SIZE, SIZE) ? "wrong" : "right");
}

// ioatdma takes the first descriptor after a recovery for one that was done already, and a second error for its own: hence a good copy
// after each that fails.
static void errors(void)
{
	int round;

	for (round = 1; round <= 3; round++) {
		pr_info("dma_errors: source nowhere: %s\n", copy(to, NOWHERE));
		good_copy(2 * round);
		pr_info("dma_errors: destination nowhere: %s\n", copy(NOWHERE, from));
		good_copy(2 * round + 1);
	}
}

static void free_range(void)
{
	int page;

	sg_free_table(&table);
	for (page = 0; page < PAGES; page++) {
		if (pages[page])
			__free_page(pages[page]);
	}
}

static int map_range(void)
{
	u32 pattern = get_random_u32();
	int page, place, error, right = 0;

	for (page = 0; page < PAGES; page++) {
		// Neighbours in memory are none in the range, or they might be mapped as one.
		place = page * 5 % PAGES;
		pages[place] = alloc_page(GFP_KERNEL);
		if (!pages[place])
			return -ENOMEM;
		memset32(page_address(pages[place]), pattern + place, SIZE / 4);
	}
	error = sg_alloc_table_from_pages(&table, pages, PAGES, 0, PAGES * SIZE, GFP_KERNEL);
	if (!error)
		error = dma_map_sgtable(channel->device->dev, &table, DMA_TO_DEVICE, 0);
	if (error)
		return error;
	start = sg_dma_address(table.sgl);
	for (page = 0; page < PAGES; page++) {
		copy(to, start + page * SIZE);
		right += !memcmp(memory + SIZE, page_address(pages[page]), SIZE);
	}
	pr_info("dma_errors: range at %pad: %d pages right\n", &start, right);
	return 0;
}

static void unmap_range(void)
{
	static const int probed[] = {0, 1, PAGES / 2, PAGES - 1};
	int i;

	dma_unmap_sgtable(channel->device->dev, &table, DMA_TO_DEVICE, 0);
	for (i = 0; i < ARRAY_SIZE(probed); i++) {
		pr_info("dma_errors: page %d, unmapped: %s\n", probed[i], copy(to, start + probed[i] * SIZE));
		good_copy(i);
	}
	free_range();
}

static void release(void)
{
	dma_free_coherent(channel->device->dev, 2 * SIZE, memory, from);
	dma_release_channel(channel);
}

static int __init dma_errors_init(void)
{
	dma_cap_mask_t mask;
	int error;

	dma_cap_zero(mask);
	dma_cap_set(DMA_MEMCPY, mask);
	channel = dma_request_channel(mask, NULL, NULL);
	if (!channel)
		return -ENODEV;
	memory = dma_alloc_coherent(channel->device->dev, 2 * SIZE, &from, GFP_KERNEL);
	if (!memory) {
		dma_release_channel(channel);
		return -ENOMEM;
	}
	to = from + SIZE;
	if (!range) {
		errors();
		return 0;
	}
	error = map_range();
	if (error) {
		free_range();
		release();
	}
	return error;
}

static void __exit dma_errors_exit(void)
{
	if (range)
		unmap_range();
	release();
}

module_init(dma_errors_init);
module_exit(dma_errors_exit);
MODULE_DESCRIPTION("DMA transfers that fail");
MODULE_LICENSE("Dual MIT/GPL");

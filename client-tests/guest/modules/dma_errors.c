// SPDX-License-Identifier: MIT OR Apache-2.0
// Asks a DMA channel for copies that cannot succeed, and for good ones in between; tells the kernel's log what the driver made of each.

#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/dmaengine.h>
#include <linux/module.h>

#define SIZE 4096
// Far beyond all memory.
#define NOWHERE ((dma_addr_t)1 << 45)

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

static const char *copy(struct dma_chan *channel, dma_addr_t to, dma_addr_t from)
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

static void good_copy(struct dma_chan *channel, u8 *memory, dma_addr_t from, int pattern)
{
	const char *outcome;

	memset(memory, pattern, SIZE);
	memset(memory + SIZE, 0, SIZE);
	outcome = copy(channel, from + SIZE, from);
	pr_info("dma_errors: a good copy: %s, %s\n", outcome, memcmp(memory, memory + SIZE, SIZE) ? "wrong" : "right");
}

static int __init dma_errors_init(void)
{
	struct dma_chan *channel;
	dma_cap_mask_t mask;
	dma_addr_t from, to;
	u8 *memory;
	int round;

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
	// ioatdma takes the first descriptor after a recovery for one that was done already, and a second error for its own: hence a good
	// copy after each.
	for (round = 1; round <= 3; round++) {
		pr_info("dma_errors: source nowhere: %s\n", copy(channel, to, NOWHERE));
		good_copy(channel, memory, from, 2 * round);
		pr_info("dma_errors: destination nowhere: %s\n", copy(channel, NOWHERE, from));
		good_copy(channel, memory, from, 2 * round + 1);
	}
	dma_free_coherent(channel->device->dev, 2 * SIZE, memory, from);
	dma_release_channel(channel);
	return 0;
}

static void __exit dma_errors_exit(void)
{
}

module_init(dma_errors_init);
module_exit(dma_errors_exit);
MODULE_DESCRIPTION("DMA transfers that fail");
MODULE_LICENSE("Dual MIT/GPL");

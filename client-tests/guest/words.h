/* Words of vfio_client's commands and the numbers that they stand for. A word that stands for nothing ends the program. */
#ifndef WORDS_H
#define WORDS_H

#include <stdint.h>

struct name {
	const char *name;
	uint32_t value;
};

/* Each ends with an entry without a name. */
extern const struct name features[];
extern const struct name operations[];
extern const struct name regions[];
extern const struct name irq_indexes[];
/* Actions and kinds of data of SET_IRQS. */
extern const struct name irq_flags[];
/* Capabilities, by whose names registers are addressed. */
extern const struct name capability_ids[];
enum { CAPABILITIES = 4 };

/* Says what is wrong and why (errno), and ends the program. */
void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...);

uint64_t number(const char *word);
unsigned int index_below(const char *word, unsigned int limit);
/* By name, or as it is. */
uint32_t named(const char *word, const struct name *names);
/* Several with "+" between. */
uint32_t named_bits(const char *words, const struct name *names);

#endif

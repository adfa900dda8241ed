/* _dl_find_object for musl: gcc 12's unwinder, compiled for glibc 2.35, asks it where an address's unwind table is. */
#define _GNU_SOURCE
#include <link.h>
#include <stdint.h>

struct dl_find_object {
    unsigned long long flags;
    void *map_start, *map_end;
    struct link_map *link_map;
    void *eh_frame;
    unsigned long long reserved[7];
};

struct query {
    uintptr_t pc;
    struct dl_find_object *result;
    int found;
};

static int look(struct dl_phdr_info *info, size_t size, void *data) {
    struct query *query = data;
    void *eh_frame = 0;
    uintptr_t low = -1, high = 0;
    int inside = 0;
    for (int k = 0; k < info->dlpi_phnum; k++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[k];
        uintptr_t start = info->dlpi_addr + header->p_vaddr, end = start + header->p_memsz;
        if (header->p_type == PT_LOAD) {
            if (start < low) low = start;
            if (end > high) high = end;
            if (query->pc >= start && query->pc < end) inside = 1;
        } else if (header->p_type == PT_GNU_EH_FRAME) {
            eh_frame = (void *)start;
        }
    }
    if (!inside) return 0;
    if (eh_frame) {
        *query->result = (struct dl_find_object){.map_start = (void *)low, .map_end = (void *)high, .eh_frame = eh_frame};
        query->found = 1;
    }
    return 1;
}

__attribute__((visibility("hidden"))) int _dl_find_object(void *pc, struct dl_find_object *result) {
    struct query query = {(uintptr_t)pc, result, 0};
    dl_iterate_phdr(look, &query);
    return query.found ? 0 : -1;
}

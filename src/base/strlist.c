#include "base/strlist.h"

#include "base/mem.h"
#include "base/slice.h"

void str_list_free(char **items)
{
    for (char **item = items; item && *item; item++)
        mem_free(*item);
    mem_free(items);
}

static size_t count_entries(slice rest)
{
    slice entry;
    size_t count = 0;
    while (slice_split(&rest, ',', &entry))
        count += slice_trim(entry).len > 0;
    return count;
}

int str_list_split(const char *text, char ***out)
{
    *out = NULL;
    if (!text)
        return 0;
    slice rest = slice_str(text), entry;
    char **items = mem_zalloc((count_entries(rest) + 1) * sizeof(*items));
    if (!items)
        return CARAFE_ERR_NOMEM;
    size_t count = 0;
    while (slice_split(&rest, ',', &entry)) {
        entry = slice_trim(entry);
        if (entry.len == 0)
            continue;
        items[count] = mem_dup(entry.data, entry.len);
        if (!items[count++]) {
            str_list_free(items);
            return CARAFE_ERR_NOMEM;
        }
    }
    *out = items;
    return 0;
}

// What is only compiled: that the header is C++ too.
#include "wharf.h"

int (*const call)(wharf *, uint64_t, int, int) = wharf_shutdown;

// This program's memory and threads, counted, and refused on demand: it replaces operator new, aligned_alloc and
// pthread_create, which is all that the library asks the system for.
#pragma once

namespace refusing {

enum class Times { Once, ForGood };

long blocks();    // given out by operator new and not yet given back
long requests();  // so far, to operator new and aligned_alloc
// The n-th request from now on is refused, and those after it as well if for good.
void memory(long n, Times times);
// Ends that; whether any request was refused.
bool end();

// The n-th thread from now on is refused, and all after it.
void threads(long n);
bool end_threads();

}  // namespace refusing

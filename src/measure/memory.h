// Memory of this process, for the child that measures one cell.
//
// Peak allocated is defined as PyTorch defines max_memory_allocated: the most bytes that the
// allocator had handed out at one time, not what it holds in reserve. Here the allocator is
// malloc's family (C++'s new goes through it) and anonymous mmap; blocks count with
// malloc_usable_size. File mappings (the model's safetensors), code and stacks are not in it; peak
// RSS sees them.
//
// The counting hooks live in measure/allocation_hooks.cc (target breakeven_allocation_hooks), which
// only the program and its own test link. Until counting starts they cost one relaxed load a call.
// Sanitizers bring their own malloc: there the count is not available.
#pragma once

#include <cstdint>
#include <string>

#include "classifier/classifier.h"
#include "record/record.h"

namespace breakeven::measure {

// Starts counting from zero. False when the hooks are not linked in (or a sanitizer is).
// Call it first thing in main(): memory that was taken before is not known.
bool start_counting_allocations();
bool counting_allocations();
std::uint64_t allocated_bytes();       // now
std::uint64_t peak_allocated_bytes();  // since counting started
void reset_peak_allocated();           // the peak becomes what is allocated now

// VmHWM; 0 when /proc cannot be read. getrusage is no substitute: a process made by
// vfork and exec starts with its parent's maximum.
std::uint64_t peak_rss_bytes(const std::string& root = "/");
// VmHWM becomes VmRSS. False when the kernel does not allow it; the peak then still holds what came
// before.
bool reset_peak_rss(const std::string& root = "/");

// The memory row of the cell that this process has run: weights and activations as the classifier
// reports them, library = the rest of the peak (all of it where those two lie on a device).
record::Memory memory_of(const ClassifierInfo& info);

}  // namespace breakeven::measure

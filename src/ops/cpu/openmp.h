// The two OpenMP calls that matter here. oneDNN brings OpenMP's runtime along, but a compiler that
// only checks the sources may lack its header.
#pragma once

extern "C" {
int omp_get_max_threads();
void omp_set_num_threads(int threads);
}

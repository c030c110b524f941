// A libcuda that lacks what we need, as a very old driver would.
extern "C" __attribute__((visibility("default"))) int cuInit(unsigned) {
  return 0;
}

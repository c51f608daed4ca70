// The schemas are registered when the library is loaded, once.
#include "operators.h"
#include "ops/register.h"

TEST("the operators are registered by loading the library") {
  EXPECT(std::string(lexiseg::ops::registration_error()).empty());
  EXPECT(std::string(lexiseg_ops_registration_error()).empty());
  EXPECT(!std::string(lexiseg::ops::version()).empty());
  EXPECT(std::string(lexiseg_ops_version()) == lexiseg::ops::version());
  for (const char* name : {"label_map", "panoptic_merge", "select_instances", "ms_deform_attn",
                           "ms_deform_attn_backward", "linear_sum_assignment", "mask_pooling",
                           "rle_encode", "rle_decode", "linear", "depthwise_conv",
                           "inverted_bottleneck", "layer_norm", "attention", "checked_attention"}) {
    EXPECT(c10::Dispatcher::singleton().findSchema({std::string("lexiseg::") + name, ""}));
  }
}

#include "core/known_operators.h"

#include <iterator>
#include <sstream>
#include <unordered_set>

namespace lexiseg {
namespace {

// What the exporter's networks and their losses are made of, and what else such networks are
// commonly made of.
constexpr const char* kNames =
    "Bool BoolImplicit Float FloatImplicit Int IntImplicit ScalarImplicit __and__ "
    "__contains__ __derive_index __getitem__ __iand__ __ior__ __is__ __isnot__ __lshift__ "
    "__not__ __or__ __range_length __rshift__ __xor__ _set_item _upsample_bicubic2d_aa "
    "_upsample_bilinear2d_aa _upsample_lanczos2d_aa _upsample_nearest_exact1d "
    "_upsample_nearest_exact2d _upsample_nearest_exact3d abs adaptive_avg_pool1d "
    "adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool2d add add_ addcdiv addcmul "
    "addcmul_ addmm all amax amin any append arange argmax argmin argsort as_tensor "
    "avg_pool2d baddbmm batch_norm binary_cross_entropy binary_cross_entropy_with_logits "
    "bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift_ bitwise_xor "
    "bmm broadcast_to cat ceil chunk clamp clamp_ clamp_min clamp_min_ clear constant_pad_nd "
    "contiguous conv1d conv2d conv3d conv_transpose2d copy_ cos cosine_similarity "
    "cross_entropy_loss cumsum detach diag diagonal dict dim div div_ dot dropout einsum elu "
    "embedding empty empty_like eq erf exp exp_ expand expand_as expm1 extend eye fill_ "
    "flatten flip floor floordiv format full full_like gather ge gelu get grid_sampler "
    "group_norm gt hardtanh hstack index index_add index_copy index_put index_put_ "
    "index_select insert instance_norm is_floating_point is_grad_enabled is_nonzero isfinite "
    "isinf isnan item items keys kl_div l1_loss layer_norm le leaky_relu len lerp "
    "linalg_vector_norm linear linspace list log log1p log2 log_softmax logical_and "
    "logical_not logical_or logical_xor logsumexp lt masked_fill masked_fill_ masked_select "
    "matmul max max_pool2d maximum mean meshgrid min minimum mm movedim mse_loss mul mul_ mv "
    "nan_to_num narrow ne neg neg_ new_empty new_full new_ones new_zeros nll_loss nonzero "
    "norm numel one_hot ones ones_like outer pad percentFormat permute pixel_shuffle pop pow "
    "prod reciprocal relu relu_ remainder repeat repeat_interleave reshape roll round rsqrt "
    "scalar_tensor scaled_dot_product_attention scatter scatter_ scatter_add scatter_reduce "
    "select sigmoid sigmoid_ sign silu sin size slice smooth_l1_loss softmax softplus sort "
    "sorted split split_with_sizes sqrt sqrt_ square squeeze stack std std_mean str sub sub_ "
    "sum sum_to_size swapaxes t take_along_dim tanh tensor tile to topk transpose tril triu "
    "triu_indices trunc type_as unbind unflatten unsqueeze upsample_bicubic2d "
    "upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d "
    "upsample_nearest3d upsample_trilinear3d values var var_mean view vstack warn where zero_ "
    "zeros zeros_like ";

}  // namespace

bool is_known_operator(const std::string& name) {
  static const auto names = [] {
    std::istringstream words(kNames);
    return std::unordered_set<std::string>(std::istream_iterator<std::string>(words), {});
  }();
  return names.contains(name);
}

}  // namespace lexiseg

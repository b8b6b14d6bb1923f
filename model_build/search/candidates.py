"""Every candidate, by topic, with what was decided about it and why. The figures are in docs/rewrites.md, not here."""

from __future__ import annotations

from model_build import embeddings, fuse, optimize, quantize, serving_form
from model_build.errors import ModelBuildError
from model_build.search import attention, gelu, normalization, vocabulary, words
from model_build.search.candidate import Candidate, Change

SHIPPED = "as_it_ships"
# What the model that ships does not have, candidate by candidate; the first two measure the model itself.
CANDIDATES = (
    Candidate(
        name=SHIPPED,
        topic="The model itself",
        what="The build with no choice turned round.",
        decision="What all the others are compared with.",
        after="optimized",
    ),
    Candidate(
        name="control",
        topic="The model itself",
        what="The same once more, in a session of its own.",
        decision="No candidate: what it differs by is the noise of this run.",
        after="optimized",
    ),
    Candidate(
        name="all_tokens_in_last_layer",
        topic="The last layer",
        what="The last layer computes every token's queries, attention output and feed-forward network.",
        decision="Refused: the head reads the first token alone, and what the others cost buys nothing.",
        changes=(Change(serving_form, "FIRST_TOKEN_ONLY", False),),
    ),
    Candidate(
        name="plain_attention",
        topic="Attention",
        what="Attention as the operators that PyTorch's own is exported as.",
        decision="Refused: one operator a layer takes less time at every length, and most of all at the longest.",
        changes=(
            Change(serving_form, "ATTENTION_OPERATOR", False),
            Change(fuse, "ATTENTION", "Softmax"),  # what is left to count attentions by
        ),
    ),
    Candidate(
        name="attention_with_bias",
        topic="Attention",
        what="MultiHeadAttention adds the biases of queries, keys and values.",
        decision="Refused: the products add their bias on the way out, and for less than the operator takes.",
        after="fused",
        rewrite=attention.bias_in_operator,
    ),
    Candidate(
        name="quantized_attention",
        topic="Attention",
        what="onnxruntime's QAttention, which multiplies by one matrix for queries, keys and values itself; the last "
        "layer, whose queries are one token's, cannot use it.",
        decision="Refused: it is no faster, and it leaves two kinds of attention in the graph.",
        after="fused",
        rewrite=attention.attention_operator,
        changes=(Change(quantize, "OPERATORS", ("MatMul", "Gemm", "Attention")),),
    ),
    Candidate(
        name="merged_matrix",
        topic="Attention",
        what="One matrix for queries, keys and values, its product split in three; two in the last layer.",
        decision="Refused: no faster. The products share their quantized input already, and the parts must be copied.",
        after="fused",
        rewrite=attention.merged_matrix,
    ),
    Candidate(
        name="bias_gelu",
        topic="Activation",
        what="BiasGelu: the activation adds the bias of the product before it.",
        decision="Refused: the product before it adds the bias for less.",
        after="fused",
        rewrite=gelu.bias_gelu,
    ),
    Candidate(
        name="plain_gelu",
        topic="Activation",
        what="The activation as the five operators around Erf that it is exported as.",
        decision="Refused: five passes over the widest states instead of one.",
        after="fused",
        rewrite=gelu.plain_gelu,
        # Or onnxruntime would join them again.
        changes=(Change(optimize, "UNPROFITABLE", (*optimize.UNPROFITABLE, "GeluFusionL1", "GeluFusionL2")),),
    ),
    Candidate(
        name="fast_gelu",
        topic="Activation",
        what="FastGelu: the activation approximated by a hyperbolic tangent.",
        decision="Refused: an approximation that gains no time.",
        after="fused",
        rewrite=gelu.fast_gelu,
        rounds_otherwise=True,
    ),
    Candidate(
        name="skip_layer_normalization",
        topic="Normalization",
        what="SkipLayerNormalization: addition and normalization in one operator.",
        decision="Refused: the operator takes more time than the two that it replaces.",
        after="fused",
        rewrite=normalization.skip_layer_normalization,
    ),
    Candidate(
        name="one_scale_per_matrix",
        topic="8-bit products",
        what="One scale for a whole matrix instead of one for each of its outputs.",
        decision="Not taken, though a little faster, most of all for short texts, and as good on this checkpoint: its "
        "weights are rounded more coarsely, by 2.4% of their size instead of 1.5%, and in a checkpoint with one output "
        "much larger than the rest, the rest would be lost.",
        after="fused",
        changes=(Change(quantize, "PER_CHANNEL", False),),
        rounds_otherwise=True,
    ),
    Candidate(
        name="eight_bit_weights",
        topic="8-bit products",
        what="Weights with all 8 bits instead of 7.",
        decision="Refused however it measures: on a CPU with AVX2 and no VNNI its sums overflow, and Lambda promises "
        "no more than AVX2.",
        after="fused",
        changes=(Change(quantize, "REDUCE_RANGE", False),),
        rounds_otherwise=True,
    ),
    Candidate(
        name="float_head",
        topic="8-bit products",
        what="The two small matrices of the classification head at full precision.",
        decision="Refused: more bytes and, if anything, slower, for scores that are no nearer.",
        after="fused",
        changes=(Change(quantize, "KEPT", ("classifier.", "pre_classifier.")),),
        rounds_otherwise=True,
    ),
    Candidate(
        name="float_words",
        topic="Word vectors",
        what="Word vectors at full precision.",
        decision="Refused: nearer to PyTorch, no faster, and by far the most bytes that any choice here costs.",
        after="fused",
        changes=(
            Change(embeddings, "shrink_words", words.full_precision),
            Change(quantize, "KEPT", (words.TABLE,)),
        ),
        rounds_otherwise=True,
    ),
    Candidate(
        name="words_in_8_bits",
        topic="Word vectors",
        what="Word vectors in 8 bits with one scale for all: Gather and DequantizeLinear.",
        decision="Refused: more bytes, and the scores of the reference texts are no nearer.",
        after="fused",
        changes=(Change(embeddings, "shrink_words", words.one_scale),),
        rounds_otherwise=True,
    ),
    Candidate(
        name="words_by_one_operator",
        topic="Word vectors",
        what="The same 4-bit word vectors, two a byte, looked up and expanded by onnxruntime's GatherBlockQuantized.",
        decision="Not taken: as good a choice, with fewer nodes, but neither bytes nor time would be gained.",
        after="fused",
        changes=(Change(embeddings, "shrink_words", words.one_operator),),
    ),
    Candidate(
        name="words_in_int4",
        topic="Word vectors",
        what="The same operator on ONNX's own type of 4-bit numbers.",
        decision="Refused: onnxruntime expands this type far more slowly than two numbers a byte.",
        after="fused",
        rewrite=words.allow_int4,
        changes=(Change(embeddings, "shrink_words", words.one_operator_int4),),
    ),
    *(
        Candidate(
            name=f"words_in_blocks_of_{block}",
            topic="Word vectors",
            what=f"4-bit word vectors with a scale for every {block} numbers instead of {embeddings.BLOCK}.",
            decision=decision,
            after="fused",
            changes=(Change(embeddings, "BLOCK", block),),
            rounds_otherwise=True,
        )
        for block, decision in {
            16: "Refused: more bytes for scores that are no nearer.",
            64: "Refused: hardly smaller, and the reference texts are further off.",
            128: "Refused: hardly smaller, and the reference texts are further off.",
        }.items()
    ),
    Candidate(
        name="optimized_at_load",
        topic="Start",
        what="The quantized graph is served, and onnxruntime optimizes it, at its highest level, at every start.",
        decision="Refused: every cold start would pay for it, and running is no faster.",
        after="quantized",
        serves="quantized",
    ),
    Candidate(
        name="weights_inside",
        topic="Start",
        what="The weights stand inside the .onnx file instead of beside it.",
        decision="Refused: weights beside the graph are mapped rather than parsed and copied, which every start feels.",
        after="optimized",
        rewrite=lambda _: None,  # reading and writing the graph puts them there
    ),
    Candidate(
        name="roberta_vocabulary",
        topic="Size",
        what=f"RoBERTa's vocabulary of {vocabulary.WORDS:,}, as most public checkpoints have it, with random weights "
        "and a tokenizer enlarged to it.",
        decision="Such a checkpoint is to fit into 69 MB, and does; its difference is that of random weights.",
        checkpoint=vocabulary.write_roberta_vocabulary,
    ),
)


def chosen(only: list[str]) -> list[Candidate]:
    """Return the candidates named, and always the model itself and its control; raises ModelBuildError for others."""
    names = [candidate.name for candidate in CANDIDATES]
    if unknown := sorted(set(only) - set(names)):
        raise ModelBuildError(f"--only names {', '.join(unknown)}; there are {', '.join(names)}")
    return [candidate for candidate in CANDIDATES if not only or candidate.name in only or candidate.is_control]

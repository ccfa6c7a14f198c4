"""The vision-language transformer decoder that CRIS, DETRIS, SERA and SegVLM share."""
from torch import Tensor, nn

from .coordinates import sine_positions, sine_positions_2d
from .text_features import TextFeatures


class DecoderLayer(nn.Module):
    """Self-attention over positions, attention to words, feed-forward; norms on both sides (arXiv 2111.15174).

    Args:
        channels: channels of the positions.
        text_channels: channels of the words.
        num_heads: attention heads.
        ffn_channels: hidden width of the feed-forward part.
        dropout: dropout in all three parts.
    """

    def __init__(self, channels: int, text_channels: int, num_heads: int, ffn_channels: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(3))
        self.self_attention = nn.MultiheadAttention(channels, num_heads, dropout, batch_first=True)
        self.self_attention_norm = nn.LayerNorm(channels)
        self.cross_attention = nn.MultiheadAttention(
            channels, num_heads, dropout, kdim=text_channels, vdim=text_channels, batch_first=True)
        self.cross_attention_norm = nn.LayerNorm(channels)
        self.ffn = nn.Sequential(
            nn.Linear(channels, ffn_channels), nn.ReLU(), nn.Dropout(dropout), nn.LayerNorm(ffn_channels),
            nn.Linear(ffn_channels, channels))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, words: Tensor, x_positions: Tensor, word_positions: Tensor, padding: Tensor) -> Tensor:
        """Let positions attend to each other, then to the words, and transform each.

        Args:
            x: (B, N, C).
            words: (B, L, D).
            x_positions: (N, C).
            word_positions: (L, D).
            padding: bool (B, L), True for padding.

        Returns:
            (B, N, C).
        """
        normed = self.norms[0](x)
        query = normed + x_positions
        attended = self.self_attention(query, query, normed, need_weights=False)[0]
        x = x + self.dropout(self.self_attention_norm(attended))
        query = self.norms[1](x) + x_positions
        attended = self.cross_attention(
            query, words + word_positions, words, key_padding_mask=padding, need_weights=False)[0]
        x = x + self.dropout(self.cross_attention_norm(attended))
        return x + self.dropout(self.ffn(self.norms[2](x)))


class Decoder(nn.Module):
    """Decoder layers with fixed sine positions on both sides, and a final norm.

    Args:
        channels: channels of the map, a multiple of 4.
        text_channels: channels of the words.
        num_layers: decoder layers. Default 3.
        num_heads: attention heads. Default 8.
        ffn_channels: hidden width of the feed-forward part. Default 2048.
        dropout: dropout. Default 0.1.
    """

    def __init__(self,
                 channels: int,
                 text_channels: int,
                 num_layers: int = 3,
                 num_heads: int = 8,
                 ffn_channels: int = 2048,
                 dropout: float = 0.1) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderLayer(channels, text_channels, num_heads, ffn_channels, dropout) for _ in range(num_layers))
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, text: TextFeatures) -> Tensor:
        """Let a map's positions attend to each other and to the words.

        Args:
            x: (B, C, H, W).
            text: features of the words.

        Returns:
            (B, C, H, W).
        """
        channels, height, width = x.shape[1:]
        num_words, text_channels = text.tokens.shape[1:]
        x_positions = sine_positions_2d(channels, height, width, x.device)
        word_positions = sine_positions(text_channels, num_words, x.device)
        x = x.flatten(2).transpose(1, 2)
        for layer in self.layers:
            x = layer(x, text.tokens, x_positions, word_positions, ~text.mask)
        return self.norm(x).transpose(1, 2).unflatten(2, (height, width))

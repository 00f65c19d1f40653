"""Many hospitals train one segmenter: data stay, weights move."""

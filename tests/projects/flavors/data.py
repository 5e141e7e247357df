import numpy as np
import pandas as pd

X = pd.DataFrame({"a": np.linspace(0, 1, 20), "b": np.linspace(1, 0, 20) ** 2})
Y = (X["a"] > 0.5).astype(int)
EXAMPLE = X.head(3)

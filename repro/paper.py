"""The published facts: every number of the paper used in this project, once, with its place.

M. S. Khorrami, J. R. Mianroodi, N. H. Siboni, P. Goyal, B. Svendsen, P. Benner, D. Raabe,
"An artificial neural network for surrogate modeling of stress fields in viscoplastic
polycrystalline materials", npj Computational Materials 9:37 (2023),
doi:10.1038/s41524-023-00991-z, preprint arXiv:2208.13490.

Units: GPa for E and h0, MPa for xi0 and every stress or error, seconds for time.
"""

# --- Reference model (Methods) -----------------------------------------------------------
GRID = 64  # pixels along each edge of the periodic cell
GAMMA_DOT_0 = 1e-3  # reference shear rate, 1/s
STRESS_EXPONENT = 20  # n0 of the flow rule
# The text's flow rule in the parameters of DAMASK's isotropic law, whose stress is
# sqrt(3/2) |Se_dev|/M and whose hardening is multiplied by h.
DAMASK_M = 1.5**0.5
DAMASK_H = 1.0
RATE = 1e-3  # dF11/dt, 1/s
F11_TRAINING = 1.004  # end of the training data (t = 4 s)
F11_EXTENSION = 1.008  # end of the extension test (t = 8 s), Fig. 8

# --- Data (Methods; Table 3; Fig. 11) ----------------------------------------------------
MICROSTRUCTURES = 1000
GRAINS = 10
TRAINING_FRACTION = 0.8  # by microstructure
PROPERTY_NAMES = ("E", "nu", "xi0", "h0")
PROPERTY_UNITS = ("GPa", "", "MPa", "GPa")
CHANNELS = (*PROPERTY_NAMES, "sigma_vm")  # of a network's input, the stress last
# Table 3: each grain uniform in these ranges, in the order of PROPERTY_NAMES.
PROPERTY_RANGES = ((50.0, 300.0), (0.2, 0.4), (50.0, 300.0), (0.0, 50.0))
# Eq. 1: case k draws each property from the union of two intervals.
_CASE_E_XI0 = (
    ((50.0, 75.0), (275.0, 300.0)),
    ((75.0, 100.0), (250.0, 275.0)),
    ((100.0, 125.0), (225.0, 250.0)),
    ((125.0, 150.0), (200.0, 225.0)),
)
_CASE_NU = (
    ((0.20, 0.22), (0.38, 0.40)),
    ((0.22, 0.24), (0.36, 0.38)),
    ((0.24, 0.26), (0.34, 0.36)),
    ((0.26, 0.28), (0.32, 0.34)),
)
_CASE_H0 = (
    ((0.0, 5.0), (45.0, 50.0)),
    ((5.0, 10.0), (40.0, 45.0)),
    ((10.0, 15.0), (35.0, 40.0)),
    ((15.0, 20.0), (30.0, 35.0)),
)
# CASES[k] = two intervals for each of E, nu, xi0, h0.
CASES = {k + 1: (_CASE_E_XI0[k], _CASE_NU[k], _CASE_E_XI0[k], _CASE_H0[k]) for k in range(4)}
HIGH_STRESS = 500.0  # MPa, Fig. 11
HIGH_STRESS_SHARE = 8.4e-4  # share of training pixels above HIGH_STRESS at F11 = 1.004, Fig. 11
HISTOGRAM_F11 = (1.001, 1.002, 1.004)  # Fig. 11

# --- Network and training (Methods; Fig. 12) ---------------------------------------------
FILTERS = 32
KERNEL = 9  # separable 2D convolution, 9x9
LEARNING_RATE = 1e-3
BETA_1 = 0.9  # "momentum"
EPOCHS = 500

# --- Results: MAE of sigma_vM in MPa -----------------------------------------------------
MAE_TRAINING = 1.733
MAE_VALIDATION = 1.743
MAE_GRAINS = {5: 1.578, 10: 1.733, 20: 1.869}  # Table 1
MAE_CASES = {1: 3.662, 2: 1.925, 3: 1.519, 4: 1.265}  # Table 2
MAE_CIRCLE = 1.42  # one circular inclusion in a matrix, Fig. 6
MAE_SQUARE = 1.58  # one square inclusion in a matrix, Fig. 7
TEST_MICROSTRUCTURES = 50  # of each test set
DEVIATION_GROWS_AT = 1.0065  # F11 past which the mean-stress error grows, Fig. 8

# --- Speed (Results) ---------------------------------------------------------------------
DAMASK_SECONDS = 75.0  # a simulation on one core of an i9-9900K, mean over 50
NETWORK_SECONDS = 0.15  # a simulation with the trained network
SPEED_UP = 500.0  # as stated

# --- What the paper leaves open: our defaults, each an assumption -------------------------
INCREMENTS = 20  # increments of 0.2 s to F11 = 1.004
STRETCH_STEP = (F11_TRAINING - 1) / INCREMENTS  # of one of them
BATCH_SIZE = 16
LEVELS = 4  # poolings: 32-64-128-256 channels
STRESS_SCALE = 851.6565  # MPa that "normalized to 1" maps to 1
CIRCLE_RADIUS = 0.25  # of the cell edge
SQUARE_EDGE = 0.5  # of the cell edge

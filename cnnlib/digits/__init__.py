"""All about handwriting: data sets of digits, images and pen strokes, ready-made networks, and a pad to draw on.

The modules import each other in one direction only. Each may use those before it in this list:

`checks`
    Checks of arguments, with messages that help.
`idx`
    The file format of MNIST.
`download`
    Downloads such files.
`mnist_frame`
    Brings images of digits into the frame of MNIST.
`datasets`
    MNIST, Fashion-MNIST and the small set of digits that comes with the package.
`strokes`
    Draws pen strokes in the frame of MNIST.
`augmentation`
    Distorts digits at random.
`sample_drawings`
    Pen strokes to try things on.
`models`
    Ready-made networks.
`confidence`
    Tells digits from everything else.
`reading`
    Reads the digits in image files.
`own_data`
    Data of one's own: pictures by class, CSV files, IDX files.
`fine_tuning`
    Trains a network further on the drawings of its user.
`pad`
    The widget for notebooks, which alone needs a screen.
"""

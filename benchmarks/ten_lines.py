"""The recipe as a script of ten lines: what the command line's time is held against."""

import sys

import cv2
from skimage.metrics import structural_similarity

before, after = (cv2.imread(path) for path in sys.argv[1:3])
gray = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in (before, after)]
score, similarity = structural_similarity(*gray, full=True)
levels = (similarity * 255).astype("uint8")
mask = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)[1]
contours = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
for left, top, width, height in map(cv2.boundingRect, contours):
    for image in (before, after):
        cv2.rectangle(image, (left, top), (left + width, top + height), (0, 0, 255), 2)
for name, image in {"before": before, "after": after, "difference": levels, "mask": mask}.items():
    cv2.imwrite(f"{sys.argv[3]}/{name}.png", image)
print(score)

"""What a reader of the report must know before relying on it: one page, the same for every case."""

LIMITS = (
    ("What was compared",
     "Two pictures, not two people. The score says how alike two crops of 112 x 112 pixels are to one network; what is "
     "outside of these crops played no part. Nothing here tells whether a picture was changed, was made by a machine, "
     "or shows a living face."),
    ("What the decision is",
     "The score lies over the threshold, or it does not. The threshold was chosen on the pairs that are named beside "
     "it, to make few errors there; on other photographs there will be more. Pose, blur, little light, low resolution, "
     "masks, beards and years between the photographs add errors of both kinds. Relatives are alike, and twins most."),
    ("What the likelihood ratio is",
     "How many times as probable such a score is for two photographs of one person as for photographs of two people "
     "taken at random from the data that are named beside it. It is bounded by what so many pairs can support. It is "
     "no probability that this is one person: for that, the odds from all else that is known of the case have to be "
     "multiplied by it, which is not the software's to do. If the other person could be a relative, or was himself "
     "found by his likeness in a large collection, the ratio is far too high: it does not know how many were looked "
     "at. Where the pictures of the case are unlike those of the data, it is worth less than it says."),
    ("What the maps are",
     "Patch cosines say how alike the two faces are in each cell, attention how much each cell counts; multiplied and "
     "summed they are the cells' part of the score, to the last digit. That is arithmetic. Whether a cell is about its "
     "own place was measured for the model (see its section); cells drawn pale know little. What the face as a whole "
     "adds has no place, and no map can give it one. A high or low cell is no finding about the anatomy of that place, "
     "and cells depend on each other: evidence and deviation must not be summed or multiplied."),
    ("What the parts and sentences are",
     "Eyes, nose, mouth and the others follow from 68 points that another network found, forehead and hair from "
     "proportions. The sentences are filled in from the numbers of this report by fixed rules."),
    ("Groups of people",
     "Error rates differ between groups of people: by age, sex, skin tone and origin. The figures of the model are "
     "those of its test pictures, most of them of adults of lighter skin in press photographs. The model's card and "
     "the documentation say which rates were measured."),
    ("Who decides",
     "A person who is trained to compare faces, has seen both photographs as they were given, and answers for the "
     "conclusion. This report is one thing to weigh, and should be disclosed whole."),
)  # fmt: skip

"""The networks of the MgNO paper (He, Liu, Xu, 2023), layer by layer."""
